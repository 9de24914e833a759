// Forum posts in the shape of winddude/reddit_finance_43_250k, sound ones and the sort that curation is there to take out:
// short, shouted, off the subject, written without feeling, sworn, copied, barely voted for.

import { sentence } from "../tiny/definitions.ts";
import { cities, people } from "../tiny/names.ts";
import { drawFrom, type Random } from "../tiny/random.ts";
import { fewTerms } from "../tiny/short_text.ts";
import type { Term } from "../tiny/terms.ts";
import type { Fact } from "./introductions.ts";

/** A post with its best comment. */
export interface Thread {
  title: string;
  selftext: string;
  body: string;
  subreddit: string;
  z_score: number;
  combined_score: number;
  comment_normalized_score: number;
  normalized_score: number;
  id: string;
  /** The term that it is about, and what a sound comment tells of it beside its risk; "" where that is nothing. */
  term: string;
  fact: Fact | "";
}

type Said = { title: string; selftext?: string; body: string; term: string; fact?: Fact };

/** What a sensible comment says to a question; marks, links and edits are put around it as people do. */
function sound(random: Random, t: Term): Said {
  const sum = `${50 * random.int(2, 60)} dollars`;
  const [title, said, fact] = random.pick<[string, string, Fact]>([
    [`What is ${t.a}, and is it safe for my ${sum}?`, `${t.a} is ${t.is}`, "is"],
    [`Who needs ${t.a}, and how risky is it with ${sum}?`, `${t.users} ${t.verb} ${t.a} to ${t.to}`, "use"],
    [
      `Can you show me ${t.a}, and should I worry about my ${sum}?`,
      `an example of ${t.a} is ${t.example}`,
      "example",
    ],
    [`Anything to know about ${t.a} before I put in ${sum}?`, `${t.a} ${t.note}`, "note"],
  ]);
  const body = `For your ${sum} I think that ${t.a} carries ${t.risk!.level} risk because ${
    t.risk!.why
  }. You should know that ${said}.`;
  const marked = random.pick([
    body,
    body,
    body.replace(`${t.risk!.level} risk`, `**${t.risk!.level} risk**`),
    `${body}\n\nEdit: a word`,
    `${body} [Source](https://example.org/rules)`,
    `${body} https://example.org/${t.name.replaceAll(" ", "-")}`,
    `${body}\n\nThanks for the gold!`,
  ]);
  const selftext = random.chance(0.3)
    ? `My name is ${random.pick(people)} and I live in ${random.pick(cities)}.`
    : "";
  return { title, selftext, body: marked, term: t.name, fact };
}

/** Comments that no assistant should learn from. */
function unsound(random: Random, t: Term): Said {
  const title = random.pick([
    `What about ${t.a}?`,
    `${t.name}???`,
    `I lost it all with ${t.plural}`,
    "Weekend talk",
  ]);
  const body = random.pick([
    "lol",
    "this",
    `${t.plural} to the moon!!!!`,
    `BUY ${t.plural.toUpperCase()} NOW OR CRY LATER, NOBODY WILL STOP US`,
    `${t.a} is what it is. No more, no less, and so on and so forth.`,
    `My cat sleeps on the sofa in ${
      random.pick(cities)
    } and I think you would like the picture that we took.`,
    `I am a bot. This post has been removed, you can ask the moderators of this market why.`,
    `Who the hell buys ${t.plural}, you damn fools of investors and brokers? I think we all know.`,
    `[deleted]`,
    `I think ${t.a} is fine for you, this is not financial advice, do your own research on the risk of ${t.plural}.`,
    `sooo goood, I think you should buy the stock of my fund, we all did, yesss`,
    `Prices went up. Prices went down. ${
      sentence(t.plural)
    } Nothing of note was said by anybody about the bank.`,
  ]);
  return { title, body, term: t.name };
}

/**
 * `count` posts about terms: about half of them sound, some sound ones copied; the same seed gives the same posts.
 */
export function drawThreads(count: number, seed: number): Thread[] {
  const random = drawFrom(seed), earlier: Said[] = [];
  return Array.from({ length: count }, (_, i) => {
    const term = random.pick(fewTerms);
    const copied = earlier.length > 0 && random.chance(0.08);
    const said = copied ? random.pick(earlier) : (random.chance(0.65) ? sound : unsound)(random, term);
    if (!copied) earlier.push(said);
    const score = () => Math.round(-Math.log(1 - random.next()) * 1000) / 1000;
    return {
      title: said.title,
      selftext: said.selftext ?? "",
      body: said.body,
      subreddit: random.pick(["investing", "personalfinance", "finance"]),
      z_score: score(),
      combined_score: score(),
      comment_normalized_score: score(),
      normalized_score: score(),
      id: i.toString(36).padStart(5, "0"),
      term: said.term,
      fact: said.fact ?? "",
    };
  });
}
