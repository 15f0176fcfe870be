import { HostError } from "../host/host.ts";

/** The answer, or `otherwise` where this user may not look: what can't be looked at can't be used either. */
export async function withinReach<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    if (!(cause instanceof HostError)) throw cause;
    return otherwise;
  }
}
