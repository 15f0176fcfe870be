export interface BodyEvents {
  /** May throw to end the body with that error. */
  onBytes(count: number): void;
  onEnd(): void;
  onError(error: unknown): void;
}

/** The same body, watched chunk by chunk and never read ahead. */
export function watchedBody(
  body: ReadableStream<Uint8Array>,
  events: BodyEvents,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) {
          events.onEnd();
          controller.close();
          return;
        }
        events.onBytes(value.byteLength);
        controller.enqueue(value);
      } catch (error) {
        events.onError(error);
        controller.error(error);
        await reader.cancel(error).catch(() => {});
      }
    },
    async cancel(reason) {
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/** Text of at most the first `limitBytes` of a body; `cut` tells whether there was more. */
export async function readStart(
  response: Response,
  limitBytes: number,
): Promise<{ text: string; cut: boolean }> {
  if (response.body === null) return { text: "", cut: false };
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let left = limitBytes;
  while (true) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), cut: false };
    text += decoder.decode(value.subarray(0, left), { stream: true });
    left -= value.byteLength;
    if (left < 0) {
      await reader.cancel().catch(() => {});
      return { text, cut: true };
    }
  }
}

/** Lets go of a body that nobody reads. */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}
