// What a space's files say: its head, its container, its program.
import type { SpaceModel, SpaceOptions } from "./space.ts";

/** The port that the Hub shows. */
const PORT = 7860;

const nameOf = (repo: string): string => repo.split("/").at(-1)!;

/** README.md, whose head says what the Hub runs and shows. */
export async function readme({ repo, base }: SpaceModel, { title }: SpaceOptions): Promise<string> {
  const { stringify } = await import("yaml");
  const head = stringify({
    title: title ?? nameOf(repo),
    emoji: "💬",
    colorFrom: "blue",
    colorTo: "green",
    sdk: "docker",
    app_port: PORT,
    pinned: false,
    models: [repo, ...(base ? [base] : [])],
    short_description: "Talk to a model fine-tuned with fintune",
  }, { lineWidth: 0 });
  return `---
${head}---

A page to talk to ${repo}, run by fintune (jsr:@fintune/fintune). What it writes is no financial advice.

Is the model private, give this space a secret HF_TOKEN (Settings, Variables and secrets): a token that may read it.
`;
}

/** Spaces run as user 1000; everything that is fetched from registries is fetched while the container is built. */
export const dockerfile = (deno: string): string =>
  `FROM denoland/deno:${deno}
RUN useradd --create-home --uid 1000 user
USER user
ENV HOME=/home/user DENO_DIR=/home/user/.deno HF_HOME=/home/user/.huggingface DENO_NO_UPDATE_CHECK=1
WORKDIR /home/user/app
COPY --chown=user . .
RUN ["deno", "cache", "main.ts"]
EXPOSE ${PORT}
CMD ["deno", "run", "--cached-only", "-P=space", "main.ts"]
`;

/** main.ts: the models, the server, and the door through which everybody comes in. */
export function program(model: SpaceModel, options: SpaceOptions): string {
  const { repo, kind, base, prompt } = model, { title = nameOf(repo), examples } = options;
  const text = (value: unknown) => JSON.stringify(value);
  const how = options.quantize ? `, { quantize: "nf4" }` : "";
  const tuned = text(nameOf(repo));
  const loading = kind === "adapter"
    ? `const base = await loadModel(${text(base)}${how});
const tuned = await loadAdapter(base, ${text(repo)});
const models = { ${tuned}: tuned, base: useAdapter(tuned, undefined) };`
    : `const models = { ${tuned}: await loadModel(${text(repo)}${how}) };`;
  const names = [
    ...(prompt ? [prompt] : []),
    ...(kind === "adapter" ? ["loadAdapter"] : []),
    "loadModel",
    "serve",
    ...(kind === "adapter" ? ["useAdapter"] : []),
  ];
  const page = text({ title, ...(examples ? { examples } : {}) });
  return `// Serves the chat page and the model, which comes from ${repo} on the Hub.
import { ${names.join(", ")} } from "@fintune/fintune";

${loading}
const server = await serve(models, { port: 0, quiet: true, stopOnSignals: true, page: ${page}${
    prompt ? `, prompt: ${prompt}` : ""
  } });

// The server listens inside the container alone. Through this door everybody comes in, without a key, as to any space; only
// its numbers for operators stay inside, and the Hub may show the page in a frame.
async function door(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  if (pathname === "/metrics") return new Response("not found", { status: 404 });
  const asked = new Headers(request.headers);
  for (const name of ["host", "origin", "accept-encoding"]) asked.delete(name);
  const { method, body } = request;
  const answer = await fetch(server.url + pathname + search, { method, headers: asked, body }).catch(() => undefined);
  if (!answer) return new Response("The server is about to stop.", { status: 503, headers: { "retry-after": "10" } });
  const headers = new Headers(answer.headers), policy = headers.get("content-security-policy");
  const framed = "frame-ancestors https://huggingface.co";
  if (policy) headers.set("content-security-policy", policy.replace("frame-ancestors 'none'", framed));
  return new Response(answer.body, { status: answer.status, headers });
}

const port = Number(Deno.env.get("PORT") ?? ${PORT});
const outside = Deno.serve({ hostname: "0.0.0.0", port }, door);

// SIGTERM, as containers are stopped: what has been asked is answered, and gets a moment to go out.
await server.finished;
await Promise.race([outside.shutdown(), new Promise((resolve) => setTimeout(resolve, 1000))]);
Deno.exit(0);
`;
}
