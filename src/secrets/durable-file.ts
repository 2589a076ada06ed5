import { randomBytes } from 'node:crypto';
import { chmod, chown, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasCode } from '../lib/has-code.ts';
import { syncFolder } from '../lib/sync-folder.ts';

/** Whom new files are given to; undefined = whoever writes them. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const DRAFT = /^draft-[0-9a-f]{16}$/;
/** Nobody takes longer from a draft to its file; what is older was left by a crash. */
const ABANDONED_MS = 3_600_000;

/** The folder, for its owner alone, whatever the umask says. One that is there stays as it is. */
export async function makeFolder(path: string, owner?: Owner): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  await chmod(path, 0o700);
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  await syncFolder(dirname(first));
}

/**
 * Creates `path` with this content, readable for its owner alone, whole and on disk when it resolves; false where it
 * is there already. Two that create the same file at once: one of them. `drafts` is a folder of the same file system.
 */
export async function createDurably(
  drafts: string,
  path: string,
  text: string,
  owner?: Owner,
): Promise<boolean> {
  const draft = await writeDraft(drafts, text, owner);
  try {
    await link(draft, path);
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(dirname(path));
  return true;
}

/** Puts this content in the place of the file `path`: at every moment it is the old one or the new one, as a whole. */
export async function replaceDurably(
  drafts: string,
  path: string,
  text: string,
  owner?: Owner,
): Promise<void> {
  const draft = await writeDraft(drafts, text, owner);
  try {
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Root writes for the owner of the folder: `sudo tappet secrets set` must not leave behind what the gateway's own
 * user cannot read.
 */
export async function ownerOf(folder: string): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(folder);
  return { uid, gid };
}

async function writeDraft(drafts: string, text: string, owner: Owner | undefined): Promise<string> {
  const draft = join(drafts, `draft-${randomBytes(8).toString('hex')}`);
  const file = await open(draft, 'wx', 0o600);
  try {
    // The mode of `open` is what the umask leaves of it.
    await file.chmod(0o600);
    if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    await file.writeFile(text);
    await file.sync();
    // Judged by the clock of the file system itself: the machine's may have been set meanwhile.
    await sweepDrafts(drafts, (await file.stat()).mtimeMs - ABANDONED_MS);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return draft;
}

async function sweepDrafts(drafts: string, before: number): Promise<void> {
  for (const name of await readdir(drafts)) {
    if (!DRAFT.test(name)) continue;
    const path = join(drafts, name);
    try {
      if ((await stat(path)).mtimeMs < before) await rm(path, { force: true });
    } catch (error) {
      // Another writer has finished with it.
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }
}
