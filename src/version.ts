export const VERSION: string = "0.2.0";

/** Put in by the build; there is none where foster runs from source. */
declare const FOSTER_COMMIT: string | undefined;

/** The commit that the binary was built from, null from source. */
export const COMMIT: string | null = typeof FOSTER_COMMIT === "undefined" ? null : FOSTER_COMMIT;
