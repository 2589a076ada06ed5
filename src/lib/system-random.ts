/** The Random port of a real process. Nothing secret is drawn from it. */
export class SystemRandom {
  next(): number {
    return Math.random();
  }
}
