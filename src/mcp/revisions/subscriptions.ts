/**
 * Streams of newer clients that listen for changes, over the subscriptions of one session of an older server.
 *
 * @module
 */
import {
  coversResource,
  type Fields,
  fieldsAt,
  LIST_CHANGES,
  META,
  type Notification,
  notification,
  type RequestId,
  type Step,
  textsAt,
} from "./messages.ts";

export interface Listen {
  exchange: number;
  clientId: RequestId;
  filter: Fields;
  uris: Set<string>;
  /** Subscriptions that the server has not confirmed yet. */
  missing: number;
  acknowledged: boolean;
}

interface Subscription {
  listens: Set<Listen>;
  confirmed: boolean;
}

export interface SubscriptionsOptions {
  subscribe(uri: string, step: Step): void;
  unsubscribe(uri: string, step: Step): void;
}

export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #listens = new Map<number, Listen>();
  readonly #subscriptions = new Map<string, Subscription>();

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** Streams that are open. */
  listens(): Listen[] {
    return [...this.#listens.values()];
  }

  /** `capabilities` are the server's. */
  listen(
    clientId: RequestId,
    { params, exchange, capabilities }: { params: Fields; exchange: number; capabilities: Fields },
    step: Step,
  ): void {
    const asked = fieldsAt(params, "notifications");
    const filter: Fields = {};
    for (const { capability, filter: key } of LIST_CHANGES) {
      if (asked[key] === true && fieldsAt(capabilities, capability).listChanged === true) filter[key] = true;
    }
    const canSubscribe = fieldsAt(capabilities, "resources").subscribe === true;
    const uris = new Set(canSubscribe ? textsAt(asked, "resourceSubscriptions") : []);
    const listen: Listen = { exchange, clientId, filter, uris, missing: 0, acknowledged: false };
    this.#listens.set(exchange, listen);
    for (const uri of uris) {
      const present = this.#subscriptions.get(uri);
      if (present !== undefined) {
        present.listens.add(listen);
        if (!present.confirmed) listen.missing += 1;
        continue;
      }
      this.#subscriptions.set(uri, { listens: new Set([listen]), confirmed: false });
      listen.missing += 1;
      this.#options.subscribe(uri, step);
    }
    this.#acknowledge(listen, step);
  }

  /** The server answered a subscription. */
  answered(uri: string, isConfirmed: boolean, step: Step): void {
    const subscription = this.#subscriptions.get(uri);
    if (subscription === undefined) return;
    subscription.confirmed = true;
    if (!isConfirmed) this.#subscriptions.delete(uri);
    for (const listen of subscription.listens) {
      listen.missing -= 1;
      if (!isConfirmed) listen.uris.delete(uri);
      this.#acknowledge(listen, step);
    }
    if (isConfirmed && subscription.listens.size === 0) this.#unsubscribe(uri, step);
  }

  /** Tells the streams that asked for it of a change. */
  heard({ method, params = {} }: Notification, step: Step): void {
    const change = LIST_CHANGES.find((each) => each.method === method);
    for (const listen of this.#listens.values()) {
      if (!listen.acknowledged) continue;
      const isAsked = change !== undefined && listen.filter[change.filter] === true;
      const isUpdated = method === "notifications/resources/updated" && isFor(listen, params.uri);
      if (isAsked || isUpdated) this.#tell(listen, method, params, step);
    }
  }

  end(exchange: number, step: Step): void {
    const listen = this.#listens.get(exchange);
    if (listen === undefined) return;
    this.#listens.delete(exchange);
    for (const uri of listen.uris) {
      const subscription = this.#subscriptions.get(uri);
      if (subscription === undefined) continue;
      subscription.listens.delete(listen);
      // One that is being made is taken back once the server confirmed it: the last word wins.
      if (subscription.listens.size === 0 && subscription.confirmed) this.#unsubscribe(uri, step);
    }
  }

  #acknowledge(listen: Listen, step: Step): void {
    if (listen.acknowledged || listen.missing > 0) return;
    listen.acknowledged = true;
    const notifications = {
      ...listen.filter,
      ...(listen.uris.size === 0 ? {} : { resourceSubscriptions: [...listen.uris] }),
    };
    this.#tell(listen, "notifications/subscriptions/acknowledged", { notifications }, step);
  }

  #tell({ clientId, exchange }: Listen, method: string, params: Fields, step: Step): void {
    const meta = { ...fieldsAt(params, "_meta"), [META.subscriptionId]: clientId };
    step.toClient.push({ message: notification(method, { ...params, _meta: meta }), exchange });
  }

  #unsubscribe(uri: string, step: Step): void {
    this.#subscriptions.delete(uri);
    this.#options.unsubscribe(uri, step);
  }
}

function isFor({ uris }: Listen, updated: unknown): boolean {
  return typeof updated === "string" && [...uris].some((uri) => coversResource(uri, updated));
}
