CREATE TABLE "alias_moves" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "alias_moves_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"model" text NOT NULL,
	"alias" text NOT NULL,
	"version" integer NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_log" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "audit_log_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp (3) with time zone NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"subject" text NOT NULL,
	"data" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "blobs" (
	"sha256" text PRIMARY KEY NOT NULL,
	"size" bigint NOT NULL,
	"chunks" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "desired_states" (
	"fleet" text NOT NULL,
	"device" text NOT NULL,
	"state" jsonb NOT NULL,
	CONSTRAINT "desired_states_fleet_device_pk" PRIMARY KEY("fleet","device")
);
--> statement-breakpoint
CREATE TABLE "devices" (
	"id" text PRIMARY KEY NOT NULL,
	"fleet" text NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"last_seen_at" timestamp (3) with time zone NOT NULL,
	"reported" jsonb,
	"reported_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "experiments" (
	"name" text PRIMARY KEY NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "fleets" (
	"name" text PRIMARY KEY NOT NULL,
	"generation" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "jobs" (
	"id" text PRIMARY KEY NOT NULL,
	"order" bigint GENERATED ALWAYS AS IDENTITY (sequence name "jobs_order_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"model" text NOT NULL,
	"status" text NOT NULL,
	"spec" jsonb NOT NULL,
	"checkpoint" jsonb,
	"progress" jsonb,
	"result" jsonb,
	"error" jsonb,
	"worker" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "last_metrics" (
	"run" text NOT NULL,
	"key" text NOT NULL,
	"value" double precision NOT NULL,
	CONSTRAINT "last_metrics_run_key_pk" PRIMARY KEY("run","key")
);
--> statement-breakpoint
CREATE TABLE "metric_points" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "metric_points_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"run" text NOT NULL,
	"key" text NOT NULL,
	"value" double precision NOT NULL,
	"step" bigint NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "models" (
	"name" text PRIMARY KEY NOT NULL,
	"display_name" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"last_version" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "report_cursors" (
	"device" text NOT NULL,
	"boot" text NOT NULL,
	"contiguous" bigint NOT NULL,
	CONSTRAINT "report_cursors_device_boot_pk" PRIMARY KEY("device","boot")
);
--> statement-breakpoint
CREATE TABLE "reports" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "reports_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"device" text NOT NULL,
	"boot" text NOT NULL,
	"seq" bigint NOT NULL,
	"fleet" text NOT NULL,
	"kind" text NOT NULL,
	"manifest_digest" text,
	"received_at" timestamp (3) with time zone NOT NULL,
	"envelope" jsonb NOT NULL,
	CONSTRAINT "reports_device_boot_seq_unique" UNIQUE("device","boot","seq")
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" text PRIMARY KEY NOT NULL,
	"order" bigint GENERATED ALWAYS AS IDENTITY (sequence name "runs_order_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"experiment" text NOT NULL,
	"name" text NOT NULL,
	"status" text NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	"params" jsonb NOT NULL,
	"tags" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "versions" (
	"model" text NOT NULL,
	"version" integer NOT NULL,
	"manifest_digest" text NOT NULL,
	"run_id" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "versions_model_version_pk" PRIMARY KEY("model","version"),
	CONSTRAINT "versions_model_manifestDigest_unique" UNIQUE("model","manifest_digest")
);
--> statement-breakpoint
ALTER TABLE "alias_moves" ADD CONSTRAINT "alias_moves_model_models_name_fk" FOREIGN KEY ("model") REFERENCES "public"."models"("name") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "last_metrics" ADD CONSTRAINT "last_metrics_run_runs_id_fk" FOREIGN KEY ("run") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "metric_points" ADD CONSTRAINT "metric_points_run_runs_id_fk" FOREIGN KEY ("run") REFERENCES "public"."runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_experiment_experiments_name_fk" FOREIGN KEY ("experiment") REFERENCES "public"."experiments"("name") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "versions" ADD CONSTRAINT "versions_model_models_name_fk" FOREIGN KEY ("model") REFERENCES "public"."models"("name") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "alias_moves_model_alias_id_index" ON "alias_moves" USING btree ("model","alias","id");--> statement-breakpoint
CREATE INDEX "audit_log_subject_id_index" ON "audit_log" USING btree ("subject","id");--> statement-breakpoint
CREATE INDEX "devices_fleet_index" ON "devices" USING btree ("fleet");--> statement-breakpoint
CREATE INDEX "jobs_order_index" ON "jobs" USING btree ("order");--> statement-breakpoint
CREATE INDEX "metric_points_run_key_id_index" ON "metric_points" USING btree ("run","key","id");--> statement-breakpoint
CREATE INDEX "reports_manifest_digest_id_index" ON "reports" USING btree ("manifest_digest","id");--> statement-breakpoint
CREATE INDEX "runs_experiment_order_index" ON "runs" USING btree ("experiment","order");--> statement-breakpoint
CREATE INDEX "runs_order_index" ON "runs" USING btree ("order");--> statement-breakpoint
CREATE INDEX "versions_manifest_digest_index" ON "versions" USING btree ("manifest_digest");