export { type AbDeclaration, type AbMetric, abDeclarationSchema, abMetricSchema } from './abtest/declaration.js'
export { type Arm, type Crossing, Evidence, type Improvement } from './abtest/evidence.js'
export { boundary, logWealth, type Stakes, stakesAround } from './abtest/mixture.js'
export { type AbPlan, planOf } from './abtest/plan.js'
export { RatioCheck } from './abtest/ratio.js'
export { type AbVerdict, RATIO_LEVEL, verdictOf } from './abtest/verdict.js'
export { ordered } from './async/ordered.js'
export {
  type CloudConfig,
  type ConfiguredApiKey,
  configDefaults,
  defineConfig,
  type GrpcTls,
  type LogLevel,
  type OidcConfig,
  type RequestLogs,
  type ResolvedCloudConfig,
  type Role,
  requestLogs,
  resolveConfig,
  roles,
} from './config/config.js'
export { type HttpLimits, httpLimitsSchema } from './config/http-limits.js'
export { publicUrl } from './config/public-url.js'
export { cloudConfigSchema } from './config/schema.js'
export {
  type ResolvedServing,
  type ResolvedServingCache,
  resolveServing,
  type ServingCacheConfig,
  type ServingConfig,
} from './config/serving.js'
export { servingConfigSchema } from './config/serving-schema.js'
export type {
  AbArm,
  AbOutcome,
  AbReceipt,
  AbStatus,
  AbTestRecord,
  AbTestStore,
  AbTests,
  AbTestView,
  StoredOutcome,
} from './contracts/ab-test.js'
export {
  type Access,
  type AccessRole,
  type AccessScope,
  type Actor,
  accessRoles,
  allows,
  allowsDevice,
  allowsModel,
  type Credentials,
  isLoopback,
  type KeyOrder,
  type KeyRecord,
  type Keys,
  localActor,
  MIN_KEY_LENGTH,
  type Origin,
  openAccess,
} from './contracts/access.js'
export type {
  Broker,
  CacheTotals,
  Controller,
  DataPlane,
  Deployment,
  GrpcServer,
  InferContext,
  InferResult,
  InferTiming,
  Jobs,
  ReportIntake,
  RunInfo,
  ServedVersion,
  Server,
  Serving,
  WireInfo,
} from './contracts/cloud.js'
export { type LogData, type Logger, silentLogger } from './contracts/logger.js'
export {
  type Counter,
  type Family,
  type Gauge,
  type Histogram,
  type HistogramSpec,
  type MetricExemplar,
  type MetricLabels,
  type MetricReading,
  type MetricSample,
  type MetricSpec,
  type Metrics,
  nullMetrics,
} from './contracts/metrics.js'
export type { Alert, DriftVerdict, Monitor, StatisticVerdict } from './contracts/monitor.js'
export type { QuantizedModel, QuantizeOptions, Quantizer } from './contracts/quantizer.js'
export type { LoadOptions, Runtime, RuntimeFlags, Session } from './contracts/runtime.js'
export type {
  AliasRecord,
  AuditEntry,
  AuditLog,
  ChunkStore,
  DeviceRecord,
  DeviceStore,
  JobRecord,
  JobStatus,
  JobStore,
  KeyChanges,
  KeyStore,
  MetricPoint,
  ModelRecord,
  Registry,
  ReportStore,
  RunRecord,
  RunStatus,
  RunStore,
  StoredKey,
  StoredReport,
  VersionRecord,
} from './contracts/store.js'
export {
  type ArrayClass,
  arrayClasses,
  type DataType,
  elementCount,
  type NumericType,
  type Signature,
  setOwn,
  type Tensor,
  type TensorArrays,
  type TensorSpec,
  type Tensors,
} from './contracts/tensor.js'
export {
  nullTracer,
  type Span,
  type SpanAttributes,
  type SpanContext,
  type SpanOptions,
  type TraceHeaders,
  type Tracer,
} from './contracts/tracer.js'
export type {
  ShadowCounts,
  Traffic,
  TrafficActor,
  TrafficRecord,
  TrafficStore,
  TrafficView,
} from './contracts/traffic.js'
export type {
  Activation,
  LayerConfig,
  NetworkConfig,
  NetworkJob,
  TrainContext,
  TrainData,
  TrainedModel,
  Trainer,
  TrainerFlags,
  TrainJob,
  TrainProgress,
} from './contracts/trainer.js'
export type {
  CloudLink,
  CloudLinkFlags,
  CloudLinkStats,
  EdgeLink,
  JobQueue,
  QueuedJob,
  Unsubscribe,
} from './contracts/transport.js'
export {
  codeOf,
  defineErrors,
  type ErrorCatalogue,
  type ErrorData,
  type ErrorEntry,
  type ErrorFactories,
  entry,
  TidewayError,
} from './errors/error.js'
export { entries, errors } from './errors.js'
export {
  type AnswerForm,
  answeredOutputs,
  decodeInferAnswer,
  encodeInferAnswer,
  type InferAnswer,
} from './inference/answer.js'
export { decodeBinary, encodeBinary } from './inference/binary.js'
export { type BinaryBody, headerBytesOf, joinAligned } from './inference/body.js'
export { datatypeOf, datatypes, dtypeOf } from './inference/datatypes.js'
export { Issues, quoted } from './inference/issues.js'
export { listStatistics, type NamedVersion, type StatisticsSource } from './inference/listed.js'
export { type InferForm, runMeasured } from './inference/measured.js'
export {
  decodeModelMetadata,
  encodeModelMetadata,
  type JsonTensorSpec,
  type ModelMetadata,
  type ModelMetadataJson,
} from './inference/metadata.js'
export { type ConfiguredTensor, type ModelConfig, modelConfigOf } from './inference/model-config.js'
export { isRepository, type Repository, storeAnswers, whyNotReady } from './inference/ready.js'
export {
  decodeInferRequest,
  encodeInferRequest,
  type InferCall,
  type InferRequest,
  timeoutOf,
} from './inference/request.js'
export { decodeRequested, type RequestedOutputs } from './inference/requested.js'
export {
  type DurationStat,
  type Measured,
  type ModelStat,
  Statistics,
  VersionStatistics,
} from './inference/statistics.js'
export { type InferTarget, targetIn } from './inference/target.js'
export { inferTargetSchema, versionOrAliasSchema } from './inference/target-schema.js'
export { readTensors, type TensorParts } from './inference/tensors.js'
export { decodeValues, type Reading } from './inference/values.js'
export { defineNetwork, type Layers, layers, layerTypes } from './network/builder.js'
export { INPUT, type NetworkPlan, type PlannedLayer, planNetwork, tryPlanNetwork } from './network/resolve.js'
export { type LayerType, networkLimits, networkSchema, type ResolvedLayer } from './network/schema.js'
export type { Shape } from './network/shapes.js'
export { windowsOf } from './network/shapes-image.js'
export { type Pads, padsOf, slide, type Window } from './network/windows.js'
export { checkId, isId } from './nouns/id.js'
export {
  type BlobRef,
  blobRefSchema,
  type ChunkRef,
  chunkRefSchema,
  fileSchema,
  knownAnswersSchema,
  type Manifest,
  manifestSchema,
  readManifest,
  signatureSchema,
  type Variant,
  variantSchema,
  writeManifest,
} from './nouns/manifest.js'
export { idSchema, sha256Schema } from './nouns/names.js'
export { canonicalJson, sha256Hex } from './nouns/sha256.js'
export { decodeTensors, encodeTensors } from './nouns/tensors-blob.js'
export {
  type Augment,
  type AugmentStep,
  augmentSchema,
  augmentStepSchema,
  type Balance,
  balanceSchema,
} from './pipeline/augment.js'
export {
  type QuantizationAware,
  quantizationAwareSchema,
  type ResolvedQuantizationAware,
  resolveQuantizationAware,
} from './pipeline/aware.js'
export { type ClassCounts, checkDataset, classCounts } from './pipeline/check-dataset.js'
export {
  type CategoryColumn,
  type Column,
  type Columns,
  type ColumnsConfig,
  columnsOf,
  columnsSchema,
  type NumberColumn,
  resolveColumns,
  type TimeColumn,
} from './pipeline/columns.js'
export type { Dataset } from './pipeline/dataset.js'
export {
  type Distillation,
  distillationSchema,
  type ResolvedDistillation,
  resolveDistillation,
  type Teacher,
} from './pipeline/distill.js'
export { type BaseModel, type FineTune, fineTuneSchema } from './pipeline/finetune.js'
export {
  type Gates,
  gatesSchema,
  type JobSpec,
  jobSpecSchema,
  type Split,
  splitSchema,
} from './pipeline/job.js'
export {
  definePipeline,
  type Format,
  type PipelineConfig,
  type PipelineRun,
  pipelineDefaults,
  resolvePipeline,
} from './pipeline/pipeline.js'
export {
  precisionOf,
  type QuantizedPrecision,
  type Recipe,
  type RecipeOf,
  type ResolvedRecipe,
  recipeDefaults,
  recipeSchema,
  resolveRecipe,
  SCHEMES,
  type Scheme,
  schemeOf,
} from './pipeline/recipe.js'
export {
  type EarlyStoppingConfig,
  earlyStoppingSchema,
  type LossConfig,
  lossNames,
  lossSchema,
  type OptimizerConfig,
  optimizerSchema,
  type ScheduleConfig,
  scheduleSchema,
} from './pipeline/training.js'
export {
  type Clipping,
  earlyStoppingDefaults,
  lossDefaults,
  optimizerDefaults,
  type ResolvedEarlyStopping,
  type ResolvedLoss,
  type ResolvedOptimizer,
  type ResolvedSchedule,
  resolveEarlyStopping,
  resolveLoss,
  resolveOptimizer,
  resolveSchedule,
  scheduleDefaults,
} from './pipeline/training-defaults.js'
export { createHost, type Host } from './plugin/host.js'
export {
  definePlugin,
  type Plugin,
  type PluginDefinition,
  type PluginHooks,
  type PluginUse,
  type Scope,
} from './plugin/plugin.js'
export { type Token, token, tokenName, tokens } from './plugin/token.js'
export { type Bins, compareBins, mergeBins, totalOf } from './profile/bins.js'
export { createProfileBuilder, type ProfileBuilder } from './profile/builder.js'
export { decodeBins, encodeBins } from './profile/codec.js'
export { profileDigest } from './profile/digest.js'
export { emptyProfile, mergeProfiles } from './profile/merge.js'
export {
  type Profile,
  type ProfileSchema,
  profileBodySchema,
  profileSchemaSchema,
  type Statistic,
  statisticSchema,
} from './profile/schema.js'
export { createSketch, quantileOf, type Sketch } from './profile/sketch.js'
export { type SuggestOptions, suggestProfileSchema } from './profile/suggest.js'
export { type ProfileSummary, type QuantileSummary, summarizeProfile } from './profile/summary.js'
export { bfloat16ToNumber, numberToBfloat16 } from './runtime/bfloat16.js'
export { type Fallback, type FallbackOptions, loadOnFirst, type Placed, Unusable } from './runtime/fallback.js'
export { halfToNumber, numberToHalf } from './runtime/half.js'
export { checkInputs, inputCheck, tensorIssues } from './runtime/inputs.js'
export { answerNoRows } from './runtime/no-rows.js'
export { createOrtSession, type OrtMetadata, type OrtSession, type OrtTensor } from './runtime/onnx-runtime.js'
export { PROBE } from './runtime/probe.js'
export { firstLine, guardSession, type SessionEngine } from './runtime/session.js'
export type { VersionsInUse } from './telemetry/gone.js'
export { Refusals, type Refused } from './telemetry/refusals.js'
export { type Kept, labelsOf, type VersionLabels, VersionSeries, versionLabels } from './telemetry/versions.js'
export { assign, pick } from './traffic/assign.js'
export { agree } from './traffic/compare.js'
export {
  answeringIn,
  faultsOf,
  type Share,
  SINGLE,
  sharesOf,
  type Tolerance,
  type TrafficPolicy,
  type TrafficRequest,
  type TrafficSwitch,
  trafficPolicySchema,
  trafficRequestSchema,
  trafficSwitchSchema,
  versionsIn,
} from './traffic/policy.js'
export { signatureChange } from './traffic/signature.js'
export { HOST_VERSION } from './version.js'
export { type DesiredModel, type DesiredState, desiredModelSchema, desiredSchema } from './wire/desired.js'
export {
  type Ack,
  ackSchema,
  type Envelope,
  envelopeSchema,
  type Presence,
  presenceSchema,
  type ReportedState,
  reportedSchema,
} from './wire/envelope.js'
export { limits } from './wire/limits.js'
export { issuesOf, narrow, parseJson, toJsonBytes } from './wire/parse.js'
export { type ReportSource, readReport, readReported } from './wire/report.js'
export { requestIdOf } from './wire/request-id.js'
export { deviceOf, subjectOf, subjects, topicOf } from './wire/subjects.js'
export { backoffMs, jittered, type Rereader, sleep, startRereader, within } from './wire/timing.js'
