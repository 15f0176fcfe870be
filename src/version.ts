export const VERSION: string = "0.2.0";

/** Put in by the build; there is none where foster runs from source. */
declare const FOSTER_COMMIT: string | undefined;

/** The commit that the binary was built from, null from source. */
export const COMMIT: string | null = typeof FOSTER_COMMIT === "undefined" ? null : FOSTER_COMMIT;

/** Put in by a build that was told. */
declare const FOSTER_RELEASES: string | undefined;

/** Where releases are: `latest/download/FILE` and `download/vVERSION/FILE` below it. Null where the build was not told. */
export const RELEASES: string | null = typeof FOSTER_RELEASES === "undefined" ? null : FOSTER_RELEASES;
