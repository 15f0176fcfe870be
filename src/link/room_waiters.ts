/** Those who wait until little enough lies in the socket. */
export class RoomWaiters {
  #waiters: { maxBytes: number; resolve: () => void }[] = [];

  get size(): number {
    return this.#waiters.length;
  }

  /** Resolves when no more than `maxBytes` are left. */
  wait(maxBytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ maxBytes, resolve });
    });
  }

  /** Lets those go for whom `bufferedBytes` is little enough. */
  look(bufferedBytes: number): void {
    this.#waiters = this.#waiters.filter(({ maxBytes, resolve }) => {
      if (bufferedBytes > maxBytes) return true;
      resolve();
      return false;
    });
  }

  /** Lets everybody go. */
  release(): void {
    this.look(Number.NEGATIVE_INFINITY);
  }
}
