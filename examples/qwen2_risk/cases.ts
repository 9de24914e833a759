// Cases: a firm, what happens to it, how strongly, what protects or weakens it; and the note that tells of them.

import type { Random } from "../tiny/random.ts";
import type { Event } from "./events.ts";

export type Risk = "High" | "Medium" | "Low";

/** All that a note says, and what follows from it. */
export interface Case {
  firm: string;
  event: Event;
  /** "大幅" or the like; "" for what does not move. */
  degree: string;
  /** "公司现金充足" or the like, or "". */
  state: string;
  risk: Risk;
}

const syllables = [..."盛远华泰恒通瑞丰金鼎嘉海天安宏信德兴隆新星东方云达"];
const trades = "电子 电缆 食品 纺织 地产 物流 能源 医药 汽车 航空 钢铁 化工 零售 传媒 建材 机械".split(" ");

const strong = ["大幅", "急剧", "快速", "持续"], weak = ["小幅", "略微", "缓慢", "稍微"];
const protections = ["公司现金充足", "公司负债较低", "公司已买保险", "公司已有备用方案"];
const weaknesses = ["公司现金不足", "公司负债较高", "公司没有保险", "公司没有备用方案"];

/** One of about ten thousand firms, all invented. */
export function drawFirm(random: Random): string {
  const [first, second] = random.shuffle(syllables);
  return first + second + random.pick(trades);
}

/** A firm to which one of these events happens. */
export function drawCase(random: Random, events: readonly Event[]): Case {
  const event = random.pick(events), moves = event.sentiment !== "Neutral";
  const isStrong = random.chance(0.5), degree = moves ? random.pick(isStrong ? strong : weak) : "";
  const guard = random.pick([-1, 0, 1]);
  const state = guard < 0 ? random.pick(protections) : guard > 0 ? random.pick(weaknesses) : "";
  return { firm: drawFirm(random), event, degree, state, risk: riskOf(event, isStrong, guard) };
}

/** Bad news: by how strong it is, one step less for a firm that is protected, one more for a weak one. Else weakness alone. */
function riskOf({ sentiment }: Event, isStrong: boolean, guard: number): Risk {
  const level = (sentiment === "Negative" ? (isStrong ? 2 : 1) : 0) + guard;
  return level >= 2 ? "High" : level === 1 ? "Medium" : "Low";
}

/** "铜价大幅上涨" */
export const happening = ({ event, degree }: Case): string => event.subject + degree + event.verb;

const times = ["近期", "本月", "上周", "今年以来", "本季度", "昨日"];

/** The note: what a newspaper would say, often with another firm that it is not about. */
export function noteOf(random: Random, one: Case): string {
  const time = random.pick(times), what = happening(one), { firm } = one;
  const other = random.chance(0.4) ? random.pick(["同行", "竞争对手"]) + drawFirm(random) : "";
  const news = random.pick([
    `${time}${what}，${firm}受到关注。`,
    `${firm}公告，${time}${what}。`,
    `据报道，${time}${firm}的${what}。`,
    `${time}市场关注${firm}，原因是${what}。`,
    `${firm}在会上表示，${time}${what}。`,
  ]);
  const aside = other && random.pick([`${other}未受影响。`, `${other}没有回应。`, `${other}情况不同。`]);
  const state = one.state && `${one.state}。`;
  return random.chance(0.5) ? news + aside + state : aside + news + state;
}
