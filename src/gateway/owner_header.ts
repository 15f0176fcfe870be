/** The header of a request to the gateway that names the `connect` it comes from. */
export const OWNER_HEADER = "foster-client";
