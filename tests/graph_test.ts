// Graphs: what the verifier refuses, what tracing leaves out, gradients, and named sizes when a program runs.
import assert from "node:assert/strict";
import type { Device } from "../lib/engine/device.ts";
import { gradients } from "../lib/engine/grad.ts";
import { type Graph, newValue, type Node, type Trace, type Type, type Value } from "../lib/engine/graph.ts";
import { add, addOp } from "../lib/engine/ops/add.ts";
import { gatherRows } from "../lib/engine/ops/gather_rows.ts";
import { matmul } from "../lib/engine/ops/matmul.ts";
import { pickToken } from "../lib/engine/ops/pick_token.ts";
import { f32, i32, trace } from "../lib/engine/trace.ts";
import { verify } from "../lib/engine/verify.ts";
import { devices } from "./devices.ts";

/** sum = a + b over f32[n, 4], ready to be spoilt. */
function sumGraph() {
  const recording: Trace = { nodes: [], nextId: 0 };
  const value = (type: Type = f32("n", 4)) => newValue(recording, type);
  const a = value(), b = value(), sum = value();
  const node: Node = { op: addOp, inputs: [a, b], outputs: [sum], attributes: {} };
  const graph: Graph = {
    inputs: new Map([["a", a], ["b", b]]),
    nodes: [node],
    outputs: new Map([["sum", sum]]),
  };
  return { value, a, b, sum, node, graph };
}

Deno.test("a well-formed graph passes the verifier", () => verify(sumGraph().graph));

Deno.test("the verifier refuses every kind of malformed graph", () => {
  const { value, a, b, sum, node, graph } = sumGraph();
  const withNode = (changes: Partial<Node>): Graph => ({ ...graph, nodes: [{ ...node, ...changes }] });
  const wide = value(f32("n", 5));
  const withInput = (input: Value): Graph => ({
    ...graph,
    inputs: new Map([...graph.inputs, ["c", input]]),
  });
  const other = sumGraph();
  const cases: [string, Graph, RegExp][] = [
    ["an undefined value", withNode({ inputs: [a, value()] }), /add reads a value that nothing has computed/],
    ["a value of another trace", withNode({ inputs: [a, other.b] }), /add reads a value that nothing/],
    ["its own output", withNode({ inputs: [a, sum] }), /add reads a value that nothing has computed/],
    ["nodes in the wrong order", {
      ...graph,
      nodes: [{ ...node, inputs: [sum, sum], outputs: [value()] }, node],
    }, /add reads a value that nothing has computed/],
    [
      "another shape",
      withNode({ outputs: [value(f32("n", 5))] }),
      /add gives f32\[n, 4\], recorded as f32\[n, 5\]/,
    ],
    ["another rank", withNode({ outputs: [value(f32("n"))] }), /recorded as f32\[n\]/],
    ["another dtype", withNode({ outputs: [value(i32("n", 4))] }), /add gives f32.*recorded as i32/],
    ["too many outputs", withNode({ outputs: [sum, value()] }), /add gives 1 outputs/],
    ["too few outputs", withNode({ outputs: [] }), /add gives 1 outputs/],
    [
      "inputs that do not fit",
      { ...withInput(wide), nodes: [{ ...node, inputs: [a, wide] }] },
      /add: both inputs/,
    ],
    ["a node twice", { ...graph, nodes: [node, node] }, /a value of add is defined twice/],
    ["an input over a value", withNode({ outputs: [a] }), /a value of add is defined twice/],
    [
      "an input twice",
      { ...graph, inputs: new Map([["a", a], ["b", b], ["c", a]]) },
      /input c is defined twice/,
    ],
    ["no node for an output", { ...graph, nodes: [] }, /output sum is never computed/],
    [
      "another trace's output",
      { ...graph, outputs: new Map([["sum", other.sum]]) },
      /output sum is never computed/,
    ],
    ...[0, -1, 2.5, NaN].map((size): [string, Graph, RegExp] => [
      `a size of ${size}`,
      withInput(value(f32(size, 4))),
      /input c has an impossible size: f32\[/,
    ]),
  ];
  for (const [what, graph, pattern] of cases) {
    assert.throws(() => verify(graph), pattern, what);
  }
  const sizeless = { ...addOp, infer: () => [f32("m", 4)] };
  const unbound = withNode({ op: sizeless, outputs: [value(f32("m", 4))] });
  assert.throws(() => verify(unbound), /a value of add has an impossible size: f32\[m, 4\]/);
});

Deno.test("the shape rules refuse what does not fit while a program is traced", () => {
  assert.throws(() => trace({ a: f32(3, 4), b: f32(4, 3) }, ({ a, b }) => ({ y: add(a, b) })), /add: both/);
  assert.throws(
    () => trace({ a: f32("n"), b: f32("m") }, ({ a, b }) => ({ y: add(a, b) })),
    /f32\[n\] and f32\[m\]/,
  );
  assert.throws(
    () => trace({ a: f32(3, 4), b: f32(5, 6) }, ({ a, b }) => ({ y: matmul(a, b) })),
    /matmul: the inner size of b is 5, expected 4/,
  );
});

Deno.test("nodes whose values nobody uses are left out", () => {
  let dead: Value | undefined;
  const graph = trace({ a: f32("n", 4), b: f32("n", 4), unused: f32(7) }, ({ a, b }) => {
    const sum = add(a, b);
    dead = add(add(sum, a), b);
    return { sum };
  });
  assert.equal(graph.nodes.length, 1);
  assert.deepEqual([...graph.inputs.keys()], ["a", "b", "unused"]);
  assert.equal((dead!.trace as Trace).nodes.length, 3);
});

Deno.test("a gradient that cannot be is an error", () => {
  const types = { x: f32("n", 4), other: f32("n", 4), dy: f32("n", 4) };
  const gradientOf = (wrt: "x" | "other") =>
    trace(types, (values) => {
      const y = add(values.x, values.x);
      return { d: gradients([{ value: y, seed: values.dy }], [values[wrt]])[0] };
    });
  gradientOf("x");
  assert.throws(() => gradientOf("other"), /nothing depends on value 0 of those asked for/);
  const attributes = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1, noRepeatNgramSize: 0 };
  const picked = { logits: f32("n", 4), history: i32("n", 4), lengths: i32("n"), random: f32("n") };
  assert.throws(
    () =>
      trace(picked, (values) => {
        const value = pickToken(values, attributes);
        return { d: gradients([{ value, seed: value }], [values.logits])[0] };
      }),
    /pickToken has no gradient/,
  );
});

for (const device of await devices()) {
  const test = (name: string, body: () => Promise<void>) => Deno.test(`${device.backend}: ${name}`, body);
  const numbers = (values: number[], ...shape: number[]) =>
    device.upload(Float32Array.from(values), shape.length ? shape : [values.length], "f32");

  test("gradients of a value that is used several times add up", async () => {
    // y = x + x, z = y + x, and dz = 1: dx = 3; from y too, with dy = 10: dx = 3 + 20.
    const graph = trace({ x: f32("n"), dz: f32("n"), dy: f32("n") }, ({ x, dz, dy }) => {
      const y = add(x, x), z = add(y, x);
      const [once] = gradients([{ value: z, seed: dz }], [x]);
      const [dx, dOfY] = gradients([{ value: z, seed: dz }, { value: y, seed: dy }], [x, y]);
      return { once, dx, dOfY };
    });
    const inputs = { x: numbers([1, 2]), dz: numbers([1, 2]), dy: numbers([10, 100]) };
    assert.deepEqual(await run(device, graph, inputs), { once: [3, 6], dx: [23, 206], dOfY: [11, 102] });
  });

  test("a weight used twice, by rows and as a head: both gradients together", async () => {
    const graph = trace({ w: f32(3, 2), ids: i32("n"), dy: f32("n", 3) }, ({ w, ids, dy }) => {
      const logits = matmul(gatherRows(w, ids), w, { transB: true });
      return { dw: gradients([{ value: logits, seed: dy }], [w])[0] };
    });
    const inputs = {
      w: numbers([1, 2, 3, 4, 5, 6], 3, 2),
      ids: device.upload(Int32Array.of(2), [1], "i32"),
      dy: numbers([1, 0, 10], 1, 3),
    };
    // As head: dy^T x, x = w[2]; as rows: dy w, at row 2.
    assert.deepEqual(await run(device, graph, inputs), { dw: [5, 6, 0, 0, 50 + 51, 60 + 62] });
  });

  test("two dynamic sizes in one program, and programs that run with others", async () => {
    const graph = trace({ a: f32("m", "k"), b: f32("k", 2), c: f32("m", 2) }, ({ a, b, c }) => ({
      y: add(matmul(a, b), c),
    }));
    const program = await device.compile(graph);
    for (const [m, k] of [[1, 1], [3, 5], [5, 3], [1, 70], [3, 5]]) {
      const inputs = {
        a: numbers(Array.from({ length: m * k }, (_, i) => i % k), m, k),
        b: numbers(Array.from({ length: k * 2 }, (_, i) => i % 2 + 1), k, 2),
        c: numbers(Array.from({ length: m * 2 }, (_, i) => 1000 * i), m, 2),
      };
      const { y } = await program.run(inputs);
      const [values] = await device.read(y), sum = k * (k - 1) / 2;
      assert.deepEqual(y.shape.map(Number), [m, 2]);
      assert.deepEqual([...values], Array.from({ length: m * 2 }, (_, i) => sum * (i % 2 + 1) + 1000 * i));
      device.free(y, ...Object.values(inputs));
    }
    program.close();
  });

  test("inputs that are missing, of another type, or disagree on a size", async () => {
    const graph = trace({ a: f32("n", 2), b: f32("n", 2), ids: i32("m") }, ({ a, b, ids }) => ({
      y: gatherRows(add(a, b), ids),
    }));
    const program = await device.compile(graph);
    const a = device.zeros([3, 2], "f32"), b = device.zeros([4, 2], "f32"), ids = device.zeros([1], "i32");
    const flat = device.zeros([6], "f32"), wide = device.zeros([3, 3], "f32");
    const refused = (inputs: Parameters<typeof program.run>[0], pattern: RegExp) =>
      assert.rejects(async () => await program.run(inputs), pattern);
    await refused({ a, b, ids }, /input b is f32\[4, 2\], the program wants f32\[n, 2\] \(n = 3\)/);
    await refused({ a, b: flat, ids }, /input b is f32\[6\], the program wants f32\[n, 2\]/);
    await refused({ a: wide, b, ids }, /input a is f32\[3, 3\], the program wants f32\[n, 2\]/);
    await refused({ a, b: a, ids: flat }, /input ids is f32\[6\], the program wants i32\[m\]/);
    await refused({ a, ids }, /input b is missing/);
    await refused({ a, b: a }, /input ids is missing/);
    const { y } = await program.run({ a, b: a, ids });
    assert.deepEqual(y.shape.map(Number), [1, 2], "and runs on after refusing");
    device.free(a, b, ids, flat, wide, y);
    program.close();
  });
}

/** Compiles, runs, reads everything and frees everything. */
async function run(device: Device, graph: Graph, inputs: Record<string, ReturnType<Device["zeros"]>>) {
  const program = await device.compile(graph);
  const outputs = await program.run(inputs);
  const values = await device.read(...Object.values(outputs));
  const result = Object.fromEntries(Object.keys(outputs).map((name, i) => [name, [...values[i]]]));
  device.free(...Object.values(inputs), ...Object.values(outputs));
  program.close();
  return result;
}
