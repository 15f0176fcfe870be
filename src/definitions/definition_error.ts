export interface DefinitionPlace {
  /** The definition file, null for a preset or where no file is concerned. */
  file: string | null;
  server: string | null;
  /** The key inside the server, dotted: `ready.timeout`. */
  key: string | null;
}

/** A definition that can't be used: the user must change the file (exit 2). */
export class DefinitionError extends Error {
  override readonly name = "DefinitionError";
  readonly code = "definition";
  readonly file: string | null;
  readonly server: string | null;
  readonly key: string | null;
  /** What to type or change, null where the message says it all. */
  readonly hint: string | null;

  /** `problem` continues the place: `must be …` after a key, a whole clause otherwise. */
  constructor(problem: string, options: Partial<DefinitionPlace> & { hint?: string | null } & ErrorOptions) {
    const { file = null, server = null, key = null, hint = null, cause } = options;
    const place = [
      ...(file === null ? [] : [file]),
      ...(server === null ? [] : [`server ${JSON.stringify(server)}`]),
      key === null ? problem : `${JSON.stringify(key)} ${problem}`,
    ];
    super(place.join(": "), { cause });
    this.file = file;
    this.server = server;
    this.key = key;
    this.hint = hint;
  }
}
