// Refusals in OpenAI's form.

/** What a client did wrong, or why it has to wait; becomes the response's status and error object. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly details: {
      /** The request's field. */
      readonly param?: string;
      /** OpenAI's code, such as model_not_found. */
      readonly code?: string;
      /** Seconds after which it may go. */
      readonly retryAfter?: number;
    } = {},
  ) {
    super(message);
  }
}

/** The error as OpenAI's clients expect it. */
export function errorBody(status: number, message: string, { param, code }: Refusal["details"] = {}): object {
  return { error: { message, type: errorType(status), param: param ?? null, code: code ?? null } };
}

function errorType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

/** A refusal, or (with a sentence that gives nothing away) any other error, as a response. */
export function errorResponse(error: unknown): Response {
  if (!(error instanceof Refusal)) {
    console.error(error);
    return Response.json(errorBody(500, "The server failed at this request."), { status: 500 });
  }
  const { status, message, details } = error;
  const headers: Record<string, string> = {};
  if (details.retryAfter !== undefined) headers["retry-after"] = String(details.retryAfter);
  if (status === 401) headers["www-authenticate"] = "Bearer";
  return Response.json(errorBody(status, message, details), { status, headers });
}
