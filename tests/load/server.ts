// The server of the load test, in a process of its own, so that its memory is its own: prints its address, and ends with its input.
import { serveTiny, tinyModel } from "../served.ts";

const server = await serveTiny(await tinyModel(), { maxStreams: 32, maxQueue: 100, maxBodyBytes: 100_000 });
console.log(server.url);
for await (const _ of Deno.stdin.readable);
await server.stop();
