// Serves the small model, asks it once, and prints what came, for the test of permissions.
import { post, serveTiny, tinyModel } from "./served.ts";

const server = await serveTiny(await tinyModel());
const { status } = await (await fetch(`${server.url}/health`)).json();
const response = await post(`${server.url}/v1/completions`, { model: "tiny", prompt: "Who?", max_tokens: 4 });
const { usage } = await response.json();
console.log(JSON.stringify({ health: status, tokens: usage.completion_tokens }));
await server.stop();
