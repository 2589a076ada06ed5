/** A large transfer may take as long as it likes; one that moves no byte for so long has failed. */
export const STALLED_MS = 60_000;
/** Of where a file comes from: longer than an object store's own deadline, whose words say more. */
export const SOURCE_STALLED_MS = 90_000;
