/** The live sessions by their id, and which one of them commands go to. */
export class SessionBook<T> {
  readonly #sessions = new Map<string, T>();
  #activeId: string | null = null;

  /** False, with nothing changed, where a live session has this id. */
  register(id: string, session: T): boolean {
    if (this.#sessions.has(id)) return false;
    this.#sessions.set(id, session);
    if (this.#sessions.size === 1) this.#activeId = id;
    return true;
  }

  /** When the active session goes, a single one left takes its place; of several, none does. */
  unregister(id: string): void {
    if (!this.#sessions.delete(id) || this.#activeId !== id) return;
    const left = [...this.#sessions.keys()];
    this.#activeId = left.length === 1 ? left[0] ?? null : null;
  }

  get(id: string): T | null {
    return this.#sessions.get(id) ?? null;
  }

  active(): T | null {
    return this.#activeId === null ? null : this.get(this.#activeId);
  }

  all(): T[] {
    return [...this.#sessions.values()];
  }
}
