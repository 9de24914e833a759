// Jinja templates from strangers: rendered with an end. Chat templates come with models and are programs; one that loops or
// grows without end is stopped with an error instead of taking the process with it.

import type { Environment, Interpreter } from "@huggingface/jinja";

/** Work that one rendering may do, in expressions evaluated; a conversation of hundreds of turns takes some ten thousand. */
const MOST_WORK = 4_000_000;
/** Items of all lists inside one another, and characters, that one value may hold. */
const MOST_ITEMS = 1_000_000, MOST_CHARACTERS = 16_000_000;
/** The largest number that a filter takes: they are widths of indents. */
const WIDEST = 100;

type Evaluate = Interpreter["evaluate"];
type RuntimeValue = ReturnType<Evaluate>;
type Program = Parameters<Interpreter["run"]>[0];

/**
 * A function that compiles templates to functions which render. Every expression that is evaluated is charged by the size
 * of its value, since what is done with the value (search, sort, write as JSON) takes about as long.
 *
 * @returns it throws an Error for a template that cannot be read; what it gives throws one where the template does so, or
 *   works or grows beyond bounds
 */
export async function templateCompiler(): Promise<(template: string) => (variables: object) => string> {
  const jinja = await import("@huggingface/jinja");
  return (template) => {
    const program = jinja.parse(jinja.tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
    return (variables) => {
      const environment = new jinja.Environment();
      setGlobals(environment);
      for (const [name, value] of Object.entries(variables)) environment.set(name, value);
      return render(new jinja.Interpreter(environment), program);
    };
  };
}

function render(interpreter: Interpreter, program: Program): string {
  const size = sizes();
  const evaluate: Evaluate = interpreter.evaluate.bind(interpreter);
  const widths = new WeakSet<object>(), lists = new WeakSet<object>();
  let work = 0;
  interpreter.evaluate = (statement, environment) => {
    for (const argument of filterArguments(statement)) widths.add(argument);
    for (const list of loopLists(statement)) lists.add(list);
    const value = evaluate(statement, environment);
    if (statement && widths.has(statement) && typeof value.value === "number" && value.value > WIDEST) {
      throw new Error(`${value.value} is too large a number for a filter`);
    }
    work += 1 + size(value) * (lists.has(statement!) ? 8 : 1 / 16); // a turn of a loop costs even where it is empty
    if (work > MOST_WORK) throw new Error("it does not come to an end");
    return value;
  };
  return (interpreter.run(program) as { value: string }).value;
}

/** The expressions in the parentheses of a filter, in `x | filter(...)` and `{% filter filter(...) %}`. */
function filterArguments(statement: unknown): object[] {
  const { filter } = (statement ?? {}) as {
    filter?: { args?: (object & { value?: unknown; argument?: object })[] };
  };
  return (filter?.args ?? []).map((argument) =>
    typeof argument.value === "object" ? argument.value! : argument
  );
}

/** The expression that a loop goes over, with and without its condition. */
function loopLists(statement: unknown): object[] {
  const { iterable } = (statement ?? {}) as { iterable?: object & { lhs?: object } };
  return iterable ? [iterable, iterable.lhs ?? iterable] : [];
}

/** Names that every template may use, as the library gives them (its own `range` counts without bounds). */
function setGlobals(environment: Environment): void {
  for (const [name, value] of Object.entries({ true: true, True: true, false: false, False: false })) {
    environment.set(name, value);
  }
  environment.set("none", null);
  environment.set("None", null);
  environment.set("raise_exception", (message: string) => {
    throw new Error(message);
  });
  environment.set("range", range);
}

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (step === 0) throw new Error("range() step must not be zero");
  if (count > MOST_ITEMS) throw new Error(`range() of ${count} numbers is too long`);
  return Array.from({ length: count }, (_, i) => from + i * step);
}

/** The size of a value with all that is inside; each list is counted once, since the same may be inside many. */
function sizes(): (value: RuntimeValue) => number {
  const known = new WeakMap<object, number>();
  const sizeOf = (inside: unknown, depth: number): number => {
    if (typeof inside === "string") {
      if (inside.length > MOST_CHARACTERS) throw new Error("its text grows without bounds");
      return inside.length / 16;
    }
    const items = Array.isArray(inside) ? inside : inside instanceof Map ? [...inside.values()] : undefined;
    if (!items) return 0;
    const before = known.get(inside as object);
    if (before !== undefined) return before;
    if (depth > 500) throw new Error("its lists are nested too deep");
    known.set(inside as object, items.length); // a namespace may hold itself
    const size = items.reduce((sum, item) => sum + 1 + sizeOf(item?.value, depth + 1), 0);
    if (size > MOST_ITEMS) throw new Error("its lists grow without bounds");
    if (Array.isArray(inside)) known.set(inside, size);
    else known.delete(inside as object); // a namespace changes
    return size;
  };
  return (value) => sizeOf(value.value, 0);
}
