// What can happen to a firm: a figure that moves, what follows from it, and what that means in the end. In Chinese.

/** Something that happens, with its consequences. */
export interface Event {
  /** What moves or takes place: "铜价". */
  subject: string;
  /** How: "上涨". */
  verb: string;
  /** What follows: "原料成本上升". */
  link: string;
  /** What that comes to: "利润下降". */
  result: string;
  sentiment: Sentiment;
}

export type Sentiment = "Positive" | "Negative" | "Neutral";

/** [subjects with their links, verbs up and down, of links up and down, results up and down, whether up is good] */
type Family = {
  subjects: string;
  verbs: [string, string];
  moves: [string, string];
  results: [string, string];
  good: boolean;
};

const families: Family[] = [
  {
    subjects:
      "铜价:原料成本 钢价:材料成本 油价:运输成本 电价:用电成本 煤价:燃料成本 粮价:饲料成本 棉价:面料成本 纸价:包装成本 芯片价格:零件成本",
    verbs: ["上涨", "下跌"],
    moves: ["上升", "下降"],
    results: ["利润下降", "利润增长"],
    good: false,
  },
  {
    subjects: "工资:人工成本 租金:门店成本 运费:物流成本 关税:出口成本 保费:保险支出 贷款利率:利息支出",
    verbs: ["上调", "下调"],
    moves: ["上升", "下降"],
    results: ["利润下降", "利润增长"],
    good: false,
  },
  {
    subjects:
      "订单:开工率 销量:销售收入 客流:门店收入 出口:海外收入 会员:服务收入 票价:票务收入 补贴:政策收入 游客:酒店收入 广告:平台收入",
    verbs: ["增加", "减少"],
    moves: ["提高", "降低"],
    results: ["利润增长", "利润下降"],
    good: true,
  },
  {
    subjects: "坏账:回款时间 库存:减值压力 逾期:催收支出 预付款:资金占用 赔偿:法律支出 罚款:合规支出",
    verbs: ["增加", "减少"],
    moves: ["上升", "下降"],
    results: ["现金流紧张", "现金流改善"],
    good: false,
  },
  {
    subjects: "投诉:退货数量 事故:停工时间 差评:客户流失 次品:返工数量 离职:招聘难度 召回:维修数量",
    verbs: ["增加", "减少"],
    moves: ["上升", "下降"],
    results: ["品牌受损", "品牌改善"],
    good: false,
  },
];

/** What takes place without moving anything. */
const neutral =
  "总部:搬迁:办公地址 审计机构:更换:审计安排 股东大会:召开:会议安排 网站:改版:页面样式 名称:变更:工商登记 董事会:换届:会议名单 " +
  "办公楼:装修:工作环境 商标:更新:包装样式 年报:印刷:文件格式";

function eventsOf({ subjects, verbs, moves, results, good }: Family): Event[] {
  return subjects.split(" ").flatMap((each) => {
    const [subject, figure] = each.split(":");
    return [0, 1].map((down) => ({
      subject,
      verb: verbs[down],
      link: figure + moves[down],
      result: results[down],
      sentiment: (down === 0) === good ? "Positive" as const : "Negative" as const,
    }));
  });
}

/** All that can happen. */
export const events: readonly Event[] = [
  ...families.flatMap(eventsOf),
  ...neutral.split(" ").map((each) => {
    const [subject, verb, what] = each.split(":");
    return { subject, verb, link: `${what}变化`, result: "经营不变", sentiment: "Neutral" as const };
  }),
];

/** Every third subject, in both directions, is kept away from fine-tuning: the pretraining text alone tells of it. */
export function splitEvents(): { train: Event[]; test: Event[] } {
  const subjects = [...new Set(events.map(({ subject }) => subject))];
  const heldOut = (event: Event) => subjects.indexOf(event.subject) % 3 === 2;
  return { train: events.filter((event) => !heldOut(event)), test: events.filter(heldOut) };
}
