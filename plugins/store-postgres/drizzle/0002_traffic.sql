CREATE TABLE "ab_tests" (
	"id" text PRIMARY KEY NOT NULL,
	"order" bigint GENERATED ALWAYS AS IDENTITY (sequence name "ab_tests_order_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"model" text NOT NULL,
	"control" integer NOT NULL,
	"treatment" integer NOT NULL,
	"declared" jsonb NOT NULL,
	"salt" text NOT NULL,
	"status" text NOT NULL,
	"actor" text NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	"last_outcome" bigint NOT NULL,
	"unknown_outcomes" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "ab_units" (
	"test" text NOT NULL,
	"unit" text NOT NULL,
	"value" double precision,
	"outcome" bigint,
	CONSTRAINT "ab_units_test_unit_pk" PRIMARY KEY("test","unit")
);
--> statement-breakpoint
CREATE TABLE "traffic_policies" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "traffic_policies_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"model" text NOT NULL,
	"policy" jsonb NOT NULL,
	"salt" text NOT NULL,
	"test" text,
	"actor" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "ab_tests" ADD CONSTRAINT "ab_tests_model_models_name_fk" FOREIGN KEY ("model") REFERENCES "public"."models"("name") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "ab_units" ADD CONSTRAINT "ab_units_test_ab_tests_id_fk" FOREIGN KEY ("test") REFERENCES "public"."ab_tests"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "traffic_policies" ADD CONSTRAINT "traffic_policies_model_models_name_fk" FOREIGN KEY ("model") REFERENCES "public"."models"("name") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "ab_tests_model_order_index" ON "ab_tests" USING btree ("model","order");--> statement-breakpoint
CREATE UNIQUE INDEX "ab_units_test_outcome_index" ON "ab_units" USING btree ("test","outcome");--> statement-breakpoint
CREATE INDEX "traffic_policies_model_id_index" ON "traffic_policies" USING btree ("model","id");--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "traffic_policies" FOR EACH STATEMENT EXECUTE FUNCTION tideway_append_only();
