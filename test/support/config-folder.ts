import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { LoadedConfig, LoadOptions } from '../../src/config/load.ts';
import { loadConfig } from '../../src/config/load.ts';
import { isTappetError } from '../../src/core/errors.ts';

/** A temporary folder for configuration files; removed by `remove`. */
export class ConfigFolder {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-config-')));

  write(name: string, content: unknown): string {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
    return file;
  }

  load(content: unknown, options: LoadOptions = { env: {} }): Promise<LoadedConfig> {
    return loadConfig(this.write('config.json', content), options);
  }

  /** The problems that loading reports, a line each, without the folder. */
  async problems(file: string, options: LoadOptions = { env: {} }): Promise<string[]> {
    try {
      await loadConfig(file, options);
      return [];
    } catch (error) {
      if (!isTappetError(error, 'CONFIG_INVALID')) throw error;
      return error.message.replaceAll(`${this.path}/`, '').split('\n');
    }
  }

  problemsOf(content: unknown, options: LoadOptions = { env: {} }): Promise<string[]> {
    return this.problems(this.write('config.json', content), options);
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
