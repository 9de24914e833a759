/**
 * LoRA and QLoRA fine-tuning of language models on your own rows, finance or other, on a GPU through WebGPU or on the CPU.
 * The README answers common questions: which model fits into memory, a CSV of one's own, going on after a stop, other languages,
 * files for other programs, publishing, serving, working offline.
 *
 * @example
 * ```ts
 * import { adamW, attachLoRA, Dataset, generate, loadModel, packBatches, saveAdapter, train } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 *
 * const rows = new Dataset([{ question: "What is a bond?", answer: "A loan that is traded." }]);
 * const model = attachLoRA(await loadModel("examples/tiny/model"), { r: 8 }); // or "owner/name" on the Hub
 * const batches = packBatches(rows, { tokenizer: model.tokenizer, completionOnly: true });
 * await train(model, batches, { optimizer: adamW(model, { learningRate: 1e-2 }), maxSteps: 20 });
 * const answer = await generate(model, "### Question: What is a bond?\n\n### Answer:");
 * assert.equal(answer.trim(), "A loan that is traded.");
 * await saveAdapter(model, `${await Deno.makeTempDir()}/adapter`); // PEFT's format
 * ```
 *
 * @module
 */
export { UserError } from "./lib/errors.ts";
export { showUserErrors } from "./lib/report/user_errors.ts";
export { Dataset, type SplitOptions } from "./lib/data/dataset.ts";
export type { Row } from "./lib/data/row.ts";
export { loadDataset, type LoadOptions, streamDataset } from "./lib/data/load.ts";
export { loadPDF, type Passage, type PDFOptions, type PDFText } from "./lib/data/pdf.ts";
export { RowStream } from "./lib/data/stream.ts";
export type { RowKey } from "./lib/data/row.ts";
export type { SaveOptions } from "./lib/data/write.ts";
export { seededRandom } from "./lib/data/random.ts";
export { alpaca, chat, financeQA, type Prompt, type TextPart } from "./lib/data/prompt.ts";
export { type DetectOptions, detectPrompt } from "./lib/data/detect.ts";
export {
  type Preview,
  previewBatch,
  type PreviewOptions,
  previewRow,
  type ShownToken,
  type TokenFate,
} from "./lib/data/preview.ts";
export {
  type Batch,
  type BatchLayout,
  batchOf,
  type DecoderSide,
  type Example,
  type Layout,
  type TokenRow,
} from "./lib/data/batch.ts";
export { type Batches, type BatchOptions, type Examples, packBatches, padBatches } from "./lib/data/pack.ts";
export type { TokenOptions } from "./lib/data/collect.ts";
export {
  dedupeNear,
  nearDuplicates,
  type NearOptions,
  type NearPair,
  type NearReport,
} from "./lib/data/near.ts";
export type { TextKey } from "./lib/data/shingles.ts";
export {
  decontaminate,
  type Decontaminated,
  type DecontaminateOptions,
  type Overlap,
} from "./lib/data/decontaminate.ts";
export { type LengthLimit, type LengthOptions, type LengthReport, lengthReport } from "./lib/data/lengths.ts";
export {
  type DatasetStatistics,
  datasetStatistics,
  type RoleStatistics,
  type StatisticsOptions,
  statisticsTable,
  type TokenCount,
} from "./lib/data/statistics.ts";
export {
  curate,
  type Curated,
  type CurationStage,
  type CurationStep,
  curationTable,
  type Decision,
  type DroppedRow,
} from "./lib/data/curate.ts";
export {
  type FieldKind,
  type FieldsOptions,
  fieldsStep,
  percentileStep,
  type ScoreOptions,
  scoreStep,
  step,
} from "./lib/data/curate_steps.ts";
export { type SimilarOptions, similarStep, similarTexts } from "./lib/data/tfidf.ts";
export { type CleanOptions, cleanReddit } from "./lib/data/reddit/clean.ts";
export { textComplexity, textQuality } from "./lib/data/reddit/quality.ts";
export { type Entity, financeEntities } from "./lib/data/reddit/entities.ts";
export { financeRelevance, type RelevanceOptions, topicSimilarity } from "./lib/data/reddit/relevance.ts";
export { isProfane, spokenKinds } from "./lib/data/reddit/tone.ts";
export { answerFaults } from "./lib/data/reddit/faults.ts";
export { type RedditOptions, redditSteps, type TextScore } from "./lib/data/reddit/steps.ts";
export { type RedditConversationOptions, redditConversations } from "./lib/data/reddit/conversations.ts";
export type { Conversation, ConversationOptions, QuestionAnswer } from "./lib/data/finsight/conversation.ts";
export { introductionConversations, type IntroductionOptions } from "./lib/data/finsight/introductions.ts";
export { companyConversations, type CompanyOptions } from "./lib/data/finsight/company.ts";
export {
  type Definition,
  definitionConversations,
  type DefinitionOptions,
  findDefinitions,
} from "./lib/data/finsight/definitions.ts";
export { financeConversations, type FinanceOptions } from "./lib/data/finsight/finance.ts";
export { splitEach } from "./lib/data/finsight/mix.ts";
export { funnelChart, type FunnelStage } from "./lib/report/funnel.ts";
export { distill, type DistillOptions, type DistillReport } from "./lib/distill/distill.ts";
export { splitThinking } from "./lib/distill/answer.ts";
export type { Budget, Price } from "./lib/distill/budget.ts";
export type { Endpoint } from "./lib/distill/endpoint.ts";
export { judge, type Judged, type Judgement, type JudgeOptions } from "./lib/distill/judge.ts";
export { fillTemplates, type TemplateOptions } from "./lib/distill/templates.ts";
export { downloadModel, type HubOptions } from "./lib/hub/model.ts";
export { type PushOptions, type PushReport, pushToHub } from "./lib/publish/push_to_hub.ts";
export type { PlannedFile, PlannedRepo, PushPlan } from "./lib/publish/plan.ts";
export type { SourceOptions } from "./lib/publish/source.ts";
export type { LeftOut } from "./lib/publish/files.ts";
export type { CardOptions } from "./lib/publish/card.ts";
export type { SpaceOptions } from "./lib/publish/space.ts";
export type { FileState } from "./lib/hub/push.ts";
export type { HubDatasetOptions } from "./lib/hub/dataset.ts";
export { loadEncoding, loadTokenizer, type Tokenizer, type TokenizerSource } from "./lib/text/tokenizer.ts";
export type { EncodingName } from "./lib/text/tiktoken.ts";
export type { ChatOptions, MarkedChat, Message, ToolCall } from "./lib/text/chat_template.ts";
export type { Device, Program } from "./lib/engine/device.ts";
export { type DeviceOptions, openDevice } from "./lib/engine/open.ts";
export type { CpuOptions } from "./lib/engine/onnx/device.ts";
export type { DType, TypedArray } from "./lib/engine/dtype.ts";
export type { Tensor } from "./lib/engine/tensor.ts";
export {
  apply,
  type Attributes,
  type Dim,
  type GradientRule,
  type Graph,
  type Node,
  type NodeView,
  type OpDefinition,
  type Recording,
  type Sample,
  type Trace,
  type Type,
  type Value,
} from "./lib/engine/graph.ts";
export { trace } from "./lib/engine/trace.ts";
export type {
  OnnxAttribute,
  OnnxBody,
  OnnxBodyValue,
  OnnxContext,
  OnnxDType,
} from "./lib/engine/onnx/context.ts";
export type { GpuBinding, GpuContext, GpuValue, Kernel } from "./lib/engine/webgpu/context.ts";
export {
  countLoRA,
  countParameters,
  type EncoderDecoderConfig,
  type LoRASize,
  type ModelConfig,
  type ModelType,
  parseConfig,
  type RopeScaling,
} from "./lib/models/config.ts";
export { exportGGUF, type ExportGGUFOptions } from "./lib/gguf/export.ts";
export type { GGUFType } from "./lib/gguf/mixture.ts";
export { exportLoraGGUF, type ExportLoraGGUFOptions } from "./lib/gguf/lora.ts";
export { modelfile, type ModelfileOptions } from "./lib/gguf/modelfile.ts";
export type { GenerationConfig } from "./lib/models/generation_config.ts";
export { freeModel, removeAdapter } from "./lib/models/free.ts";
export { initModel, type InitOptions } from "./lib/models/init.ts";
export { loadConfig, loadModel, type LoadModelOptions } from "./lib/models/load.ts";
export { exportONNX, type ExportONNXOptions, type ExportType } from "./lib/onnx/export.ts";
export { saveModel, type SaveModelOptions } from "./lib/models/save_model.ts";
export {
  type BatchChoice,
  chooseBatchSize,
  estimateMemory,
  type MemoryEstimate,
  type MemoryOptions,
  residentBytes,
} from "./lib/models/memory.ts";
export { loadAdapter, type LoadAdapterOptions, saveAdapter, type SaveAdapterOptions } from "./lib/peft.ts";
export type {
  Adapter,
  BiasTraining,
  DenseWeight,
  LoRAConfig,
  LoRAStart,
  Model,
  NF4Weight,
  Weight,
} from "./lib/models/model.ts";
export { mergeAdapter, type MergedModel, type MergeOptions } from "./lib/merge/merge.ts";
export type { LogitDifference } from "./lib/merge/difference.ts";
export { dequantizeNF4, type NF4Data, quantizeNF4, type QuantizeOptions } from "./lib/quantize/quantize.ts";
export {
  attachLoRA,
  countTrainable,
  type LoRAOptions,
  type PlainLoRAOptions,
  trainableSummary,
  useAdapter,
} from "./lib/lora.ts";
export { adamW, type AdamWOptions, type Optimizer } from "./lib/train/adamw.ts";
export {
  constantSchedule,
  cosineSchedule,
  cosineWithRestartsSchedule,
  linearSchedule,
  type Schedule,
  type ScheduleOptions,
} from "./lib/train/schedule.ts";
export { type EpochReport, evaluateLoss, trainEpoch, type TrainOptions } from "./lib/train/epoch.ts";
export type { StepReport } from "./lib/train/optimizer_step.ts";
export { estimateTime, type PlannedWork, type TimeEstimate } from "./lib/train/time.ts";
export { train } from "./lib/train/run.ts";
export { type ContinuedRun, type ContinueOptions, continueTraining } from "./lib/train/continue.ts";
export {
  sweep,
  type SweepOptions,
  type SweepPlace,
  type SweepReport,
  type SweepResult,
  type SweepSettings,
} from "./lib/train/sweep.ts";
export type { RunOptions, RunReport } from "./lib/train/run_options.ts";
export { type CheckpointContent, resumeTraining, saveCheckpoint } from "./lib/train/checkpoint.ts";
export type { Evaluation, TrainingState } from "./lib/train/state.ts";
export { type GradientOptions, type Gradients, gradients, logits, type Matrix } from "./lib/train/inspect.ts";
export type { DropoutKey } from "./lib/train/inputs.ts";
export {
  estimateGenerationMemory,
  type GenerationMemory,
  type GenerationMemoryOptions,
} from "./lib/generate/memory.ts";
export { decodeIn } from "./lib/generate/decode_in.ts";
export { generate, type GenerateOptions, streamText } from "./lib/generate/generate.ts";
export type { Constraint, ConstraintSource } from "./lib/generate/constraint.ts";
export { openStreams, type StreamsOptions, type TokenStreams } from "./lib/generate/streams.ts";
export type { TokenLogprob } from "./lib/generate/streams_pick.ts";
export type { StreamOptions } from "./lib/generate/streams_settings.ts";
export type { StreamToken } from "./lib/generate/streams_stream.ts";
export {
  choiceConstraint,
  type JSONConstraintOptions,
  jsonSchemaConstraint,
  regexConstraint,
} from "./lib/grammar/grammar.ts";
export { serve, type ServeOptions, type Server } from "./lib/serve/serve.ts";
export type { PageConfig } from "./lib/serve/page/page.ts";
export {
  type RougeOptions,
  rougeRows,
  type RougeScore,
  rougeScore,
  type RougeScores,
} from "./lib/metrics/rouge.ts";
export { type BleuScore, corpusBleu, sentenceBleu } from "./lib/metrics/bleu.ts";
export { type ChrfOptions, chrfScore } from "./lib/metrics/chrf.ts";
export {
  type ClassificationScores,
  classificationScores,
  findLabel,
  type LabelScore,
} from "./lib/metrics/classification.ts";
export { type LabelLikelihood, type LabelOptions, scoreLabels } from "./lib/metrics/label_likelihood.ts";
export { perplexity } from "./lib/metrics/perplexity.ts";
export {
  type JSONOptions,
  type JSONRow,
  jsonRows,
  type JSONSchema,
  type JSONScores,
  jsonScores,
} from "./lib/metrics/json.ts";
export { findJSON, type FoundJSON } from "./lib/metrics/json_find.ts";
export { type SQLOptions, type SQLRow, sqlRows, type SQLScores, sqlScores } from "./lib/metrics/sql.ts";
export { normalizeSQL } from "./lib/metrics/sql_normal.ts";
export { findSQL } from "./lib/metrics/sql_text.ts";
export type { QueryLimits } from "./lib/metrics/sqlite.ts";
export { bootstrap, type BootstrapOptions, type Interval } from "./lib/evaluate/bootstrap.ts";
export { evaluationChart } from "./lib/evaluate/chart.ts";
export { evaluate, type EvaluateOptions, type EvaluationReport } from "./lib/evaluate/evaluate.ts";
export {
  type Evaluated,
  type EvaluatedRow,
  evaluationCSV,
  evaluationTable,
  type MeasuredScore,
} from "./lib/evaluate/evaluation.ts";
export { readEvaluation } from "./lib/evaluate/folder.ts";
export { forgetting, type ForgettingOptions, type ForgettingReport } from "./lib/evaluate/forgetting.ts";
export { generalText } from "./lib/evaluate/general_text.ts";
export { bestAndWorst, type Samples } from "./lib/evaluate/samples.ts";
export {
  type Answer,
  meanMeasure,
  type Measure,
  type MeasureOptions,
  rowScore,
  type Score,
  type ScoreContext,
} from "./lib/evaluate/score.ts";
export { byBleu } from "./lib/evaluate/scores/bleu.ts";
export { byChrf } from "./lib/evaluate/scores/chrf.ts";
export { byExactMatch } from "./lib/evaluate/scores/exact_match.ts";
export { byJSON } from "./lib/evaluate/scores/json.ts";
export { byLabelLikelihood } from "./lib/evaluate/scores/label_likelihood.ts";
export { byLabels } from "./lib/evaluate/scores/labels.ts";
export { byRouge } from "./lib/evaluate/scores/rouge.ts";
export { bySQL } from "./lib/evaluate/scores/sql.ts";
export { report, type ReportOptions } from "./lib/report/report.ts";
export { byLoss, type LossOptions } from "./lib/evaluate/scores/loss.ts";
export { lossChart, type LossPoint, scoreChart } from "./lib/report/chart.ts";
export { sweepChart } from "./lib/report/sweep_chart.ts";
export { confusionChart } from "./lib/report/confusion_chart.ts";
export type { ChartOptions, ChartSpec } from "./lib/report/look.ts";
export { plotRun, type RunChartOptions } from "./lib/report/run_chart.ts";
export { type PNGOptions, renderPNG, renderSVG, saveChart } from "./lib/report/render.ts";
export { formatBytes, formatDuration, formatNumber } from "./lib/report/format.ts";
export { markdownTable, type TableOptions } from "./lib/report/table.ts";
export { show } from "./lib/report/show.ts";
export { type ProcessMemory, processMemory } from "./lib/report/memory.ts";
export {
  type ProgressLine,
  progressLine,
  type ProgressOptions,
  type ProgressOutput,
  type ProgressUpdate,
} from "./lib/report/progress.ts";
export {
  type LogEntry,
  openRunLog,
  readRunLog,
  type RunLog,
  type RunLogOptions,
} from "./lib/report/run_log.ts";
