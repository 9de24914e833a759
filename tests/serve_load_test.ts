// A small version of `deno task test:load`: 25 clients at once, and malformed requests of every kind.
import assert from "node:assert/strict";
import { load, loadCases } from "./load/load.ts";
import { sendMalformed } from "./load/malformed.ts";
import { serveTiny, tinyModel } from "./served.ts";

Deno.test("100 requests of 25 clients: none lost, none mixed up; malformed ones are refused", async () => {
  const model = await tinyModel();
  const server = await serveTiny(model, { maxStreams: 8, maxBodyBytes: 100_000 });
  const report = await load(server.url, await loadCases(model, 12), { requests: 100, clients: 25 });
  assert.deepEqual([report.lost, report.mixed], [[], []]);
  assert.equal(report.right + report.cut, 100);
  assert.ok(report.cut > 0);
  const { wrong } = await sendMalformed(server.url, { count: 320 });
  assert.deepEqual(wrong, []);
  await server.stop();
});
