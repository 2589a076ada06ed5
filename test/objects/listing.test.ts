import type { ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { objectsOf, versionMarkers, versionsOf } from '../../src/objects/listing.ts';

const PLACE = { connection: 'media', address: 'http://store', bucket: 'videos' };
const NONE = { $metadata: {} };
const FIRST = { prefix: '' };
const at = (second: number): Date => new Date(Date.UTC(2026, 0, 1, 0, 0, second));

describe('a page of objects', () => {
  it('that has no field of a listing is no empty bucket', () => {
    expect(() => objectsOf(NONE, FIRST, PLACE)).toThrow(
      'the object store "media" (http://store) does not answer as an S3 store',
    );
    expect(() => versionsOf(NONE, FIRST, PLACE)).toThrow('does not answer as an S3 store');
  });

  it.each([
    ['nowhere', undefined, undefined],
    ['nowhere', '', undefined],
    ['to itself', 'same', 'same'],
  ])('that goes on %s ends the listing with an error, not with a part of it', (_where, next, token) => {
    const output = { ...NONE, Name: 'videos', IsTruncated: true, NextContinuationToken: next };
    const params = { prefix: '', ...(token === undefined ? {} : { token }) };
    expect(() => objectsOf(output, params, PLACE)).toThrow(
      'the listing of the bucket "videos" goes on, but not where',
    );
  });
});

describe('a page of versions', () => {
  const output: ListObjectVersionsCommandOutput = {
    ...NONE,
    Name: 'videos',
    IsTruncated: true,
    NextKeyMarker: 'b "+\u0001',
    NextVersionIdMarker: 'v3',
    Versions: [
      { Key: 'b', VersionId: 'v1', ETag: '"e1"', Size: 1, LastModified: at(1), IsLatest: false },
      { Key: 'b', VersionId: 'v3', ETag: '"e3"', Size: 3, LastModified: at(3), IsLatest: false },
      { Key: 'ａ', VersionId: 'n', ETag: '"n"', Size: 1, LastModified: at(1), IsLatest: true },
      { Key: '😀', VersionId: 'm', ETag: '"m"', Size: 1, LastModified: at(1), IsLatest: true },
    ],
    DeleteMarkers: [
      { Key: 'b', VersionId: 'v4', LastModified: at(3), IsLatest: true },
      { Key: 'b', VersionId: 'v2', LastModified: at(2), IsLatest: false },
    ],
  };

  it('is one sequence: keys by their bytes, the latest of a key first, then by time', () => {
    const { versions } = versionsOf(output, FIRST, PLACE);
    expect(versions.map(({ key, versionId }) => `${key} ${versionId}`)).toEqual([
      'b v4',
      'b v3',
      'b v2',
      'b v1',
      'ａ n',
      '😀 m',
    ]);
    expect(versions[2]).toEqual({
      key: 'b',
      versionId: 'v2',
      etag: '',
      size: 0,
      lastModified: at(2).getTime(),
      isLatest: false,
      deleteMarker: true,
    });
  });

  it('is followed from its key and version, whatever is in them', () => {
    const { next } = versionsOf(output, FIRST, PLACE);
    expect(versionMarkers(next)).toEqual({ KeyMarker: 'b "+\u0001', VersionIdMarker: 'v3' });
    const { NextVersionIdMarker: _, ...keyOnly } = output;
    expect(versionMarkers(versionsOf(keyOnly, FIRST, PLACE).next)).toEqual({ KeyMarker: 'b "+\u0001' });
    expect(versionMarkers(undefined)).toEqual({});
    for (const token of ['', 'x', '7', '[]', '[7]']) expect(() => versionMarkers(token)).toThrow('no token');
  });
});

it('loads the SDK with the first call, not with the gateway', () => {
  const folder = new URL('../../src/objects/', import.meta.url);
  const texts = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8'));
  const imports = texts.flatMap(
    (text) => text.match(/^(import|export)\b[^;]*?from '@aws-sdk[^;]*;/gms) ?? [],
  );
  expect(imports.length).toBeGreaterThan(2);
  expect(imports.filter((line) => !line.startsWith('import type'))).toEqual([]);
});
