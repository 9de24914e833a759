// What the thread of HTTP and the main thread, which has the models, tell one another.
import type { Piece } from "./choice.ts";
import type { EngineRequest } from "./engine.ts";
import type { Refusal } from "./errors.ts";
import type { HttpSettings } from "./http.ts";

/** To the thread of HTTP. `id` is a request's. */
export type ToHttp =
  | { readonly type: "listen"; readonly settings: HttpSettings }
  | { readonly type: "stop"; readonly seconds: number }
  | { readonly type: "begun"; readonly id: number; readonly promptTokens: number }
  | { readonly type: "piece"; readonly id: number; readonly piece: Piece }
  | { readonly type: "end"; readonly id: number; readonly error?: SentError };

/** To the main thread. */
export type ToMain =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "refused"; readonly name: string; readonly message: string }
  | { readonly type: "finished" }
  | { readonly type: "ask"; readonly id: number; readonly request: EngineRequest }
  | { readonly type: "leave"; readonly id: number };

/** A refusal, or without a status any other error, which the main thread has already printed. */
export interface SentError {
  readonly status?: number;
  readonly message: string;
  readonly details?: Refusal["details"];
}
