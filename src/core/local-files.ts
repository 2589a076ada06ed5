/** The port to files of this machine that events tell of: what `event.file` is staged from. */
export interface LocalFiles {
  /**
   * The file that `identity` names, and no other: a symbolic link is not followed, and what has been replaced or
   * written to since is `changed`. Nothing is held open for a body that nobody reads.
   * Errors: the system's own (no permission, a disk that fails), with its words and the path in the message.
   */
  open(identity: FileIdentity): Promise<LocalFile | 'gone' | 'changed'>;
}

/** `data` of a files event has all of these. */
export interface FileIdentity {
  /** Absolute. */
  readonly path: string;
  /** Inode, decimal digits: it may be larger than a number holds. */
  readonly ino: string;
  /** Bytes. */
  readonly size: number;
  /** RFC 3339 with nanoseconds. */
  readonly mtime: string;
}

export interface LocalFile {
  readonly size: number;
  /** Gives exactly `size` bytes; errors where the file is replaced, written to or cut short before the last was read. */
  readonly body: AsyncIterable<Uint8Array>;
}
