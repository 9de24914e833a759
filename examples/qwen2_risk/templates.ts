// The way without a teacher, as the repository's script goes it: three sentences with blanks, four companies, four others.

import { type Dataset, fillTemplates, type Row } from "@fintune/fintune";
import { instruction } from "./rows.ts";

/** What is written about a sentence: the repository's four numbered steps, here as the thinking. */
function template(input: string, sentiment: string, risk: string, reasoning: string): Row {
  const thinking =
    `1. 实体识别：{company}。2. 事件分析：${input}3. 风险逻辑：${reasoning}4. 结论：风险等级为${risk}。`;
  return { instruction, input, thinking, value: { entity: "{company}", sentiment, risk, reasoning } };
}

const templates = [
  template(
    "市场传闻{company}计划并购{other}，双方尚未签署协议。",
    "Neutral",
    "Medium",
    "并购尚未确定，股价容易波动；整合与审批都有不确定性。",
  ),
  template(
    "{company}发现产品存在安全缺陷，决定召回已售出的全部批次，{other}的订单随之增加。",
    "Negative",
    "High",
    "召回带来维修费用，利润下降；声誉受损，客户转向竞争对手。",
  ),
  template(
    "{company}的新产品在测试中胜过{other}，预订量超出预期。",
    "Positive",
    "Low",
    "技术领先带来订单，收入有望增长，市场份额扩大。",
  ),
];

/** `count` rows in Alpaca's shape; beyond 48 they repeat, as there. */
export function templateRows(count: number): Dataset<Row> {
  const values = {
    company: ["特斯拉", "英伟达", "微软", "比亚迪"],
    other: ["宁德时代", "AMD", "OpenAI", "Rivian"],
  };
  return fillTemplates(templates, { values, count }).map(({ instruction, input, thinking, value }) => ({
    instruction,
    input,
    output: `<thinking>\n${thinking}\n</thinking>\n${value}`,
  }));
}
