// A client in a process of its own, for when the server's main thread is busy: asks, then writes what was answered to a file.
// Arguments: the server's address, the file.
const [url, file] = Deno.args;
const message = { messages: [{ role: "user", content: "Who?" }], max_tokens: 1 };
const post = (body: string) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
const statusOf = async (asked: Promise<Response>) => {
  const response = await asked;
  await response.body?.cancel();
  return response.status;
};
const statuses: number[] = [];
for (let i = 0; i < 5; i++) statuses.push(await statusOf(fetch(`${url}/health`)));
statuses.push(await statusOf(fetch(`${url}/v1/models`)));
statuses.push(await statusOf(post("{")));
statuses.push(await statusOf(post(JSON.stringify({ ...message, model: "none" }))));
statuses.push(await statusOf(post(JSON.stringify({ ...message, model: "tiny", n: 2 }))));
statuses.push(await statusOf(post(JSON.stringify({ ...message, model: "tiny" }))));
const metrics = await (await fetch(`${url}/metrics`)).text();
const figures = ["running", "waiting", "prompt_tokens_read_total"].map((name) =>
  Number(new RegExp(`^fintune_${name} (\\d+)$`, "m").exec(metrics)?.[1])
);
await Deno.writeTextFile(`${file}.part`, JSON.stringify({ statuses, figures }));
await Deno.rename(`${file}.part`, file); // whole, as its reader looks for it all the time
