// SQL answers: found in any text, compared by form and by what they find; and hostile ones are refused or cut.
import assert from "node:assert/strict";
import { seededRandom } from "../lib/data/random.ts";
import { sqlRows, sqlScores } from "../lib/metrics/sql.ts";
import { normalizeSQL } from "../lib/metrics/sql_normal.ts";
import { generateRows, readTables } from "../lib/metrics/sql_tables.ts";
import { bySQL } from "../lib/evaluate/scores/sql.ts";
import { findSQL, sqlTokens } from "../lib/metrics/sql_text.ts";
import { refused } from "./refused.ts";

Deno.test("the query is found in what models write", () => {
  const query = "SELECT name FROM fund WHERE fee < 1";
  const around = [
    query,
    `${query};`,
    `  ${query} ; DROP TABLE fund`,
    "Here you are:\n```sql\n" + query + ";\n```\nIt lists the funds.",
    "```\n" + query,
    `With this query you select the cheap ones:\n${query}`,
    `Answer: ${query}`,
    `${query}\n\nThis lists the cheap ones; I hope it helps.`,
  ];
  for (const text of around) assert.equal(findSQL(text), query, text);
  assert.equal(findSQL("SELECT ';' FROM t; --"), "SELECT ';' FROM t");
  assert.equal(
    findSQL('WITH a AS (SELECT 1) SELECT "x\n\ny" FROM a'),
    'WITH a AS (SELECT 1) SELECT "x\n\ny" FROM a',
  );
  assert.equal(findSQL("I don't know."), "I don't know.");
  assert.equal(findSQL("INSERT INTO a SELECT 1"), "INSERT INTO a SELECT 1");
  assert.equal(findSQL(""), "");
  assert.ok(findSQL(`SELECT ${"'".repeat(1e5)}${"\n ".repeat(1e5)}${'"'.repeat(1e5)}`).length <= 20_000);
});

const names = new Set(["fund", "holding", "name", "kind", "fee", "id", "fund_id", "shares"]);

Deno.test("queries that differ only in how they are written have one form", async () => {
  const same = [
    ["select NAME  from Fund;", "SELECT `name` FROM [fund]"],
    ["SELECT f.name FROM fund AS f", "SELECT fund.name FROM fund", "SELECT name FROM fund g"],
    ["SELECT f.* FROM fund f", "SELECT * FROM fund"],
    [`SELECT name FROM fund WHERE kind = "ETF"`, "SELECT name FROM fund WHERE 'ETF' = kind"],
    [`SELECT "name" FROM fund`, "SELECT name FROM fund"],
    [
      "SELECT name FROM fund WHERE (fee < 2.0)",
      "SELECT name FROM fund WHERE 2 > fee",
      "SELECT name FROM fund WHERE NOT fee >= 2",
    ],
    [
      "SELECT name FROM fund WHERE fee BETWEEN 1 AND 2 AND kind != 'a'",
      "SELECT name FROM fund WHERE kind <> 'a' AND (fee >= 1 AND fee <= 2)",
    ],
    ["SELECT name FROM fund WHERE id IN (1, 2)", "SELECT name FROM fund WHERE id IN (2, 1)"],
    ["SELECT COUNT(*) AS n FROM fund ORDER BY n", "SELECT count(*) FROM fund ORDER BY COUNT(*) ASC"],
    [
      "SELECT T1.name FROM fund AS T1 JOIN holding AS T2 ON T1.id = T2.fund_id WHERE T2.shares > 3",
      "SELECT a.name FROM fund a INNER JOIN holding b ON b.fund_id = a.id WHERE b.shares > 3",
      "SELECT fund.name FROM fund, holding WHERE fund.id = holding.fund_id AND 3 < holding.shares",
    ],
    [
      "SELECT a.id FROM fund a LEFT JOIN holding b ON a.id = b.id",
      "SELECT f.id FROM fund f LEFT OUTER JOIN holding h ON h.id = f.id",
    ],
    [
      "SELECT name FROM fund AS a WHERE fee = (SELECT MAX(fee) FROM fund AS b WHERE b.kind = a.kind)",
      "SELECT x.name FROM fund x WHERE (SELECT max(y.fee) FROM fund y WHERE x.kind = y.kind) = x.fee",
    ],
  ];
  for (const queries of same) {
    const [first, ...forms] = await Promise.all(queries.map((query) => normalizeSQL(query, names)));
    forms.forEach((form, i) => assert.equal(form, first, queries[i + 1]));
  }
});

Deno.test("queries that may find other rows have other forms", async () => {
  const different = [
    ["SELECT name FROM fund WHERE kind = 'ETF'", "SELECT name FROM fund WHERE kind = 'etf'"],
    [
      "SELECT name FROM fund WHERE fee < 2",
      "SELECT name FROM fund WHERE fee <= 2",
      "SELECT name FROM fund WHERE 2 < fee",
    ],
    ["SELECT name, kind FROM fund", "SELECT kind, name FROM fund"],
    [
      "SELECT name FROM fund",
      "SELECT DISTINCT name FROM fund",
      "SELECT 'name' FROM fund",
      "SELECT name FROM fund LIMIT 1",
    ],
    ["SELECT name FROM fund ORDER BY fee", "SELECT name FROM fund ORDER BY fee DESC"],
    [
      "SELECT CAST(fee AS INT) FROM fund",
      "SELECT CAST(fee AS REAL) FROM fund",
      "SELECT CAST(fee AS TEXT) FROM fund",
    ],
    ["SELECT 1 - (2 - 3)", "SELECT 1 - 2 - 3"],
    [
      "SELECT name FROM fund WHERE fee = 1 AND (id = 2 OR id = 3)",
      "SELECT name FROM fund WHERE fee = 1 AND id = 2 OR id = 3",
    ],
    [
      "SELECT a.id FROM fund a JOIN holding b ON a.id = b.id",
      "SELECT a.id FROM fund a LEFT JOIN holding b ON a.id = b.id",
      "SELECT b.id FROM fund a JOIN holding b ON a.id = b.id",
      "SELECT a.id FROM fund a JOIN fund b ON a.id = b.id",
    ],
    [
      "SELECT name FROM fund a WHERE EXISTS (SELECT 1 FROM fund b WHERE b.id = a.fee)",
      "SELECT name FROM fund a WHERE EXISTS (SELECT 1 FROM fund b WHERE b.id = b.fee)",
    ],
    [
      "SELECT x FROM (SELECT name AS x, kind AS y FROM fund) AS q",
      "SELECT x FROM (SELECT name AS y, kind AS x FROM fund) AS q",
    ],
    ["SELECT name AS fee FROM fund ORDER BY fee", "SELECT name FROM fund ORDER BY fee"],
    ["nonsense 'a'", "nonsense a"],
  ];
  for (const queries of different) {
    const forms = await Promise.all(queries.map((query) => normalizeSQL(query, names)));
    assert.equal(new Set(forms).size, forms.length, queries.join("\n"));
  }
});

const FUND = "CREATE TABLE fund (id INTEGER, name VARCHAR, kind VARCHAR, fee INTEGER)";
const one = async (prediction: string, expected: string, context = FUND) =>
  (await sqlRows([prediction], [expected], [context]))[0];

Deno.test("queries are right by what they find, whatever their form", async () => {
  const expected = "SELECT name FROM fund WHERE fee > 3 AND kind = 'ETF'";
  const right = await one(
    "SELECT name FROM fund WHERE kind = 'ETF' AND fee > 3 EXCEPT SELECT name FROM fund WHERE 0",
    expected + " GROUP BY name",
  );
  assert.deepEqual([right.exact, right.normalized, right.execution, right.informative], [
    false,
    false,
    true,
    true,
  ]);
  for (
    const wrong of [
      "SELECT name FROM fund WHERE fee >= 3 AND kind = 'ETF'",
      "SELECT name FROM fund WHERE fee > 3 OR kind = 'ETF'",
      "SELECT name FROM fund WHERE fee > 3",
      "SELECT DISTINCT name FROM fund WHERE fee > 3 AND kind = 'ETF'",
      "SELECT name, id FROM fund WHERE fee > 3 AND kind = 'ETF'",
    ]
  ) assert.equal((await one(wrong, expected)).execution, false, wrong);
});

Deno.test("order counts where the expected query has one, and not inside its parentheses", async () => {
  const plain = "SELECT id, name FROM fund", ordered = `${plain} ORDER BY name`;
  const without = await one(plain, ordered), more = await one(ordered, plain);
  assert.deepEqual([without.execution, without.sameOrdered, without.sameUnordered], [false, false, true]);
  assert.deepEqual([more.execution, more.sameOrdered, more.sameUnordered], [true, false, true]);
  const inner = "SELECT name FROM fund WHERE id IN (SELECT id FROM fund ORDER BY abs(fee) LIMIT 2)";
  const counted = "SELECT kind FROM fund GROUP BY kind ORDER BY COUNT(*), kind";
  assert.equal(
    (await one("SELECT kind FROM fund GROUP BY kind ORDER BY kind DESC", counted)).execution,
    false,
  );
  assert.equal((await one(`${inner} ORDER BY name DESC`, inner)).execution, true);
});

Deno.test("hostile queries are refused or cut, and the next one runs", async () => {
  const expected = "SELECT name FROM fund";
  const endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
  const many = "fund a, fund b, fund c, fund d, fund e, fund f, fund g, fund h, fund i, fund j";
  const hostile: [string, RegExp][] = [
    ["ATTACH DATABASE '/etc/passwd' AS p", /^refused: /],
    ["PRAGMA table_info(fund)", /^refused: /],
    ["DROP TABLE fund", /^refused: /],
    ["DELETE FROM fund", /^refused: /],
    ["INSERT INTO fund SELECT * FROM fund", /^refused: /],
    ["CREATE TABLE x AS SELECT * FROM fund", /^refused: /],
    ["VACUUM INTO '/tmp/x'", /^refused: |^failed: /],
    ["BEGIN", /^refused: /],
    ["SELECT load_extension('x')", /^refused: |^failed: /],
    ["SELECT readfile('/etc/passwd')", /no such function/],
    ["SELECT * FROM pragma_database_list", /^refused: |^failed: /],
    ["SELECT name FROM fund ORDER BY random()", /^refused: /],
    [`${endless} SELECT count(*) FROM c`, /^cut: /],
    [
      "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
      /^cut: more than 10000 rows/,
    ],
    [`SELECT count(*) FROM ${many}`, /^cut: more than 2000000 steps/],
    [`SELECT a.id FROM ${many}`, /^cut: /],
    [`SELECT DISTINCT a.name || b.name || c.name || d.name || e.name || f.name FROM ${many}`, /^cut: /],
    ["SELECT zeroblob(2000000000)", /^cut: /],
    [`${endless} SELECT hex(zeroblob(9000)) FROM c`, /^cut: more than 10000000 letters/],
    ["SELECT zeroblob(3), x'00ff'", /^$/],
    [`${endless} SELECT sum(length(replace(hex(zeroblob(9000)), '0', '11'))) FROM c`, /^cut: /],
    [`${endless} SELECT sum(hex(zeroblob(9000)) LIKE '%0%0%0%0%0%0%0%1') FROM c`, /^cut: /],
    [`${endless} SELECT group_concat(hex(zeroblob(9000))) FROM c`, /^cut: /],
    [`${endless} SELECT x FROM c ORDER BY hex(zeroblob(9000 + x - x)) || x`, /^cut: /],
    ["SELECT hex(zeroblob(90000)) || hex(zeroblob(90000))", /^cut: /],
    ["SELECT replace(hex(zeroblob(40000)), '00', hex(zeroblob(40000)))", /^cut: /],
    [`SELECT printf('%.*c', 1000000000, 'x')`, /^cut: /],
    ["SELECT name LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%a%a%' FROM fund", /^$/],
    [`SELECT ${"(".repeat(5000)}1${")".repeat(5000)}`, /^failed: /],
    [`SELECT ${"1+".repeat(9000)}1`, /^failed: /],
    ["SELECT * FROM missing", /^failed: no such table/],
    ["I'm sorry, I can't do that.", /^failed: /],
    ["", /^failed: /],
    ["\0", /^failed: /],
    ["SELECT '\ud800'", /^$/],
    ["<html>503</html>", /^failed: /],
  ];
  const start = performance.now();
  for (const [query, reason] of hostile) {
    const row = await one(query, expected);
    assert.match(row.reason ?? "", reason, query.slice(0, 80));
    assert.equal(row.execution, false, query);
    assert.equal((await one(expected, expected)).execution, true, `after ${query.slice(0, 80)}`);
  }
  console.log(`${hostile.length} hostile queries: ${(performance.now() - start).toFixed(0)} ms`);
});

Deno.test("limits are options, and the same everywhere", async () => {
  const query = "SELECT a.id FROM fund a, fund b, fund c";
  const run = async (options: object) => (await sqlRows([query], [query], [FUND], options))[0].reason;
  assert.equal(await run({}), "expected query cut: more than 10000 rows");
  assert.equal(await run({ databases: 1 }), undefined);
  assert.equal(await run({ maxRows: 100 }), "expected query cut: more than 100 rows");
  assert.equal(await run({ maxSteps: 1000, maxRows: 1e9 }), "expected query cut: more than 1000 steps");
  const slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) " +
    "SELECT sum(length(replace(hex(zeroblob(9000 + x % 7)), '0', '1'))) FROM c";
  const [{ reason }] = await sqlRows([slow], ["SELECT name FROM fund"], [FUND], { maxSeconds: 0.1 });
  assert.equal(reason, "cut: more than 0.1 s");
});

Deno.test("anything at all is scored, never a crash", async () => {
  const random = seededRandom(3);
  const words =
    "select from where fund name fee ( ) , ; ' \" = < * 1 and or join on group by order union with as \0 -- /*"
      .split(" ");
  const answers = Array.from(
    { length: 300 },
    () =>
      Array.from({ length: Math.floor(random() * 14) }, () => words[Math.floor(random() * words.length)])
        .join(" "),
  );
  const expected = answers.map(() => "SELECT name FROM fund");
  const rows = await sqlRows(answers, expected, answers.map(() => FUND), { databases: 1 });
  for (const { runs, reason } of rows) {
    assert.ok(runs || /^(failed|refused|cut): ./.test(reason ?? ""), reason ?? "");
  }
  for (const answer of answers) {
    assert.ok((await normalizeSQL(answer)).length <= 20 * answer.length + 1000);
    assert.ok(sqlTokens(answer).length <= answer.length);
  }
});

Deno.test("tables are read from what data sets have, and merged", () => {
  assert.deepEqual(
    readTables(
      'CREATE TABLE a (id INTEGER PRIMARY KEY, "two words" VARCHAR(20), c, PRIMARY KEY (id)); create table A (d real, id int)',
    ),
    [{
      name: "a",
      columns: [
        { name: "id", type: "INTEGER" },
        { name: "two words", type: "VARCHAR" },
        { name: "c", type: "" },
        { name: "d", type: "real" },
      ],
    }],
  );
  assert.deepEqual(readTables("nothing; CREATE TABLE"), []);
  assert.deepEqual(readTables("CREATE TABLE a ("), []);
  const [table] = readTables(FUND);
  assert.deepEqual(generateRows(table, new Map(), 5, 1), generateRows(table, new Map(), 5, 1));
  assert.notDeepEqual(generateRows(table, new Map(), 5, 1), generateRows(table, new Map(), 5, 2));
});

Deno.test("tables that cannot be made leave nothing to run on", async () => {
  const wide = `CREATE TABLE fund (${Array.from({ length: 3000 }, (_, i) => `c${i} INTEGER`).join(", ")})`;
  const contexts = [
    wide,
    "CREATE TABLE sqlite_master (a INTEGER)",
    'CREATE TABLE "" (a INTEGER)',
    "CREATE TABLE \0 (\0 INTEGER)",
  ];
  for (const context of contexts) {
    const { referenceRuns, reason } = await one("SELECT name FROM fund", "SELECT name FROM fund", context);
    assert.equal(referenceRuns, false);
    assert.match(reason!, /^expected query failed: ./);
  }
});

Deno.test("means, and bad calls", async () => {
  const expected = new Array(4).fill("SELECT name FROM fund"), contexts = [FUND, FUND, FUND, "no table"];
  const scores = await sqlScores(
    ["SELECT name FROM fund;", "select NAME from fund", "SELECT nothing", "x"],
    expected,
    contexts,
  );
  assert.deepEqual(scores, {
    exact: 1 / 4,
    normalized: 2 / 4,
    execution: 2 / 3,
    runs: 2 / 3,
    referenceRuns: 3 / 4,
  });
  await refused("counts", () => sqlScores(["a"], [], []), /1 predictions and 0 references/);
  await refused("contexts", () => sqlScores(["a"], ["a"], []), /1 queries and 0 contexts/);
  await refused("no rows", () => sqlScores([], [], []), /at least one prediction/);
  await refused("databases", () => sqlScores(["a"], ["a"], [FUND], { databases: 0 }), /databases is 0/);
  await refused("a limit", () => sqlScores(["a"], ["a"], [FUND], { maxRows: NaN }), /maxRows is NaN/);
  await refused("no text", () => sqlScores(["a"], [null], [FUND]), /reference 1 is null/);
});

Deno.test("SQL: what is written otherwise and means another thing, and what only looks so", async () => {
  const table = "CREATE TABLE fund (name VARCHAR, fee INTEGER, value REAL)";
  const scored = async (query: string, expected: string, context = table) => {
    const [{ normalized, execution }] = await sqlRows([query], [expected], [context]);
    return [normalized, execution];
  };
  const other: [string, string][] = [
    ["SELECT name FROM fund ORDER BY fee", "SELECT name FROM fund ORDER BY fee NULLS LAST"],
    ["SELECT name FROM fund WHERE fee / 2 > 1", "SELECT name FROM fund WHERE fee / 2.0 > 1"],
    ["SELECT CAST(value AS INTEGER) FROM fund", "SELECT value FROM fund"],
  ];
  for (const [query, expected] of other) {
    assert.deepEqual(await scored(query, expected), [false, false], query);
  }
  const plain = "SELECT name FROM fund WHERE fee < 2";
  const same = [
    "SELECT name -- it's cheap; so\nFROM fund WHERE fee < 2",
    "SELECT name /* a; b */ FROM fund WHERE fee < 2.0",
  ];
  for (const query of same) assert.deepEqual(await scored(query, plain), [true, true], query);
  const columns = "fund (name TEXT, fee INT)";
  for (
    const head of ["TABLE IF NOT EXISTS", "TEMP TABLE", "TEMPORARY TABLE", "TABLE main.", 'TABLE "a"."b".']
  ) {
    const runs = await scored(`${plain} `, plain, `CREATE ${head} ${columns}`);
    assert.equal(runs[1], !head.includes("b"), head);
  }
  await refused(
    "context",
    () => sqlRows([plain], [plain], [undefined as never]),
    /context of query 1 is no text/,
  );
});

Deno.test("SQL in evaluations: rows without tables are told before anything is generated", async () => {
  const answer = {
    row: { instruction: "Which?" },
    index: 0,
    question: "Which?",
    prediction: "",
    reference: "SELECT name FROM fund",
  };
  await refused(
    "no tables",
    () => bySQL().check!([answer]),
    /no expected query runs .*row 0: .*no such table.*give a context/,
  );
  await bySQL({ context: () => "CREATE TABLE fund (name TEXT)" }).check!([answer]);
});

Deno.test("SQL: an answer that repeats itself for ever breaks the parser for nobody after it", async () => {
  const expected = "SELECT name FROM fund WHERE fee < 2",
    context = "CREATE TABLE fund (name VARCHAR, fee INTEGER)";
  const endless = ["fee=1 AND ", "1+", "fee||", "fee IS NOT ", "NOT ", "(", "fee IN (1) OR ", "CASE WHEN "];
  const random = seededRandom(5),
    words = "select from where ( ) 1 a , . ' = < and or not union :: is null in case when over".split(" ");
  const noise = Array.from(
    { length: 200 },
    () => "SELECT " + Array.from({ length: 600 }, () => words[Math.floor(random() * words.length)]).join(" "),
  );
  const answers = [
    ...endless.map((part) => `SELECT name FROM fund WHERE ${part.repeat(1900)}1`),
    ...noise,
    "SELECT Name FROM fund WHERE 2 > fee",
  ];
  const rows = await sqlRows(answers, answers.map(() => expected), answers.map(() => context), {
    databases: 1,
  });
  assert.deepEqual(rows.map(({ normalized }) => normalized), answers.map((_, i) => i === answers.length - 1));
});
