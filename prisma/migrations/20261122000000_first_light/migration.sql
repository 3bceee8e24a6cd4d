-- CreateEnum
CREATE TYPE "user_registration" AS ENUM ('SERVER_ONLY', 'SIGNED', 'OPEN');

-- CreateEnum
CREATE TYPE "api_key_kind" AS ENUM ('SERVER', 'APP');

-- CreateEnum
CREATE TYPE "user_type" AS ENUM ('LEAD', 'CUSTOMER');

-- CreateEnum
CREATE TYPE "gender" AS ENUM ('MALE', 'FEMALE', 'OTHER');

-- CreateEnum
CREATE TYPE "channel" AS ENUM ('PUSH', 'EMAIL', 'SMS', 'IN_APP');

-- CreateEnum
CREATE TYPE "identifier_kind" AS ENUM ('EXTERNAL_USER_ID', 'EMAIL', 'PHONE');

-- CreateEnum
CREATE TYPE "platform" AS ENUM ('WEB', 'IOS', 'ANDROID');

-- CreateEnum
CREATE TYPE "push_status" AS ENUM ('ASK', 'ALLOWED', 'BLOCKED', 'UNSUPPORTED', 'SUSPENDED');

-- CreateEnum
CREATE TYPE "purpose" AS ENUM ('MARKETING', 'TRANSACTIONAL');

-- CreateEnum
CREATE TYPE "delivery_status" AS ENUM ('QUEUED', 'SENDING', 'SENT', 'DELIVERED', 'OPENED', 'CLICKED', 'FAILED', 'BOUNCED', 'DISCARDED', 'EXPIRED', 'CANCELLED');

-- CreateEnum
CREATE TYPE "delivery_reason" AS ENUM ('UNKNOWN_USER', 'NO_ADDRESS', 'OPTED_OUT', 'PUSH_DISABLED', 'PERMISSION_ASK', 'PERMISSION_BLOCKED', 'NOT_PRIMARY', 'DEPERSONALIZED', 'ADDRESS_GONE', 'PROVIDER_REJECTED', 'PROVIDER_UNAVAILABLE', 'HARD_BOUNCE', 'TTL_PASSED', 'RENDER_FAILED', 'CHANNEL_NOT_CONFIGURED');

-- CreateEnum
CREATE TYPE "delivery_event_status" AS ENUM ('QUEUED', 'SENT', 'DELIVERED', 'OPENED', 'CLICKED', 'DISMISSED', 'FAILED', 'BOUNCED', 'DISCARDED', 'EXPIRED', 'CANCELLED');

-- CreateTable
CREATE TABLE "apps" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "user_registration" "user_registration" NOT NULL DEFAULT 'SERVER_ONLY',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "apps_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_keys" (
    "id" UUID NOT NULL,
    "kind" "api_key_kind" NOT NULL,
    "name" TEXT NOT NULL,
    "app_id" UUID,
    "secret_hash" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "users" (
    "id" UUID NOT NULL,
    "type" "user_type" NOT NULL DEFAULT 'LEAD',
    "merged_into_id" UUID,
    "display_name" TEXT,
    "first_name" TEXT,
    "middle_name" TEXT,
    "last_name" TEXT,
    "gender" "gender",
    "birthday" DATE,
    "preferred_language" TEXT,
    "preferred_channel" "channel",
    "time_zone" TEXT,
    "country" TEXT,
    "region" TEXT,
    "picture_url" TEXT,
    "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "users_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "identifiers" (
    "kind" "identifier_kind" NOT NULL,
    "value" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "is_alias" BOOLEAN NOT NULL DEFAULT false,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "identifiers_pkey" PRIMARY KEY ("kind","value")
);

-- CreateTable
CREATE TABLE "merge_records" (
    "id" UUID NOT NULL,
    "survivor_id" UUID NOT NULL,
    "merged_id" UUID NOT NULL,
    "actor" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "before" JSONB NOT NULL,
    "moved" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "merge_records_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "installations" (
    "id" UUID NOT NULL,
    "app_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "platform" "platform" NOT NULL,
    "address_hash" BYTEA,
    "address_cipher" BYTEA,
    "push_status" "push_status" NOT NULL DEFAULT 'ASK',
    "is_push_registration_enabled" BOOLEAN NOT NULL DEFAULT true,
    "is_primary_device" BOOLEAN NOT NULL DEFAULT false,
    "language" TEXT,
    "time_zone" TEXT,
    "app_version" TEXT,
    "os_version" TEXT,
    "device_model" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "installations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "installation_tokens" (
    "secret_hash" BYTEA NOT NULL,
    "installation_id" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "installation_tokens_pkey" PRIMARY KEY ("secret_hash")
);

-- CreateTable
CREATE TABLE "recipients" (
    "id" UUID NOT NULL,
    "channel" "channel" NOT NULL,
    "user_id" UUID NOT NULL,
    "installation_id" UUID,
    "address" TEXT,
    "language" TEXT,
    "region" TEXT,
    "is_subscribed" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recipients_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "segments" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "segments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "segment_members" (
    "segment_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "added_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "segment_members_pkey" PRIMARY KEY ("segment_id","user_id")
);

-- CreateTable
CREATE TABLE "notifications" (
    "id" UUID NOT NULL,
    "content" JSONB NOT NULL,
    "target" JSONB NOT NULL,
    "channels" "channel"[],
    "target_only_primary_devices" BOOLEAN NOT NULL DEFAULT false,
    "purpose" "purpose" NOT NULL DEFAULT 'TRANSACTIONAL',
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "fan_out_cursor" JSONB,
    "fan_out_finished_at" TIMESTAMPTZ(3),
    "fan_out_claim_expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "notifications_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "notification_counts" (
    "notification_id" UUID NOT NULL,
    "status" "delivery_status" NOT NULL,
    "current" INTEGER NOT NULL DEFAULT 0,
    "reached" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "notification_counts_pkey" PRIMARY KEY ("notification_id","status")
);

-- CreateTable
CREATE TABLE "deliveries" (
    "id" UUID NOT NULL,
    "notification_id" UUID NOT NULL,
    "target_key" UUID NOT NULL,
    "channel" "channel",
    "user_id" UUID,
    "recipient_id" UUID,
    "is_broadcast" BOOLEAN NOT NULL DEFAULT false,
    "status" "delivery_status" NOT NULL,
    "status_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "reason" "delivery_reason",
    "provider_code" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "claim_token" UUID,
    "claim_expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "delivery_events" (
    "position" BIGSERIAL NOT NULL,
    "tag" INTEGER NOT NULL DEFAULT (random() * 2147483647)::integer,
    "delivery_id" UUID NOT NULL,
    "notification_id" UUID NOT NULL,
    "user_id" UUID,
    "status" "delivery_event_status" NOT NULL,
    "reason" "delivery_reason",
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "delivery_events_pkey" PRIMARY KEY ("position")
);

-- CreateTable
CREATE TABLE "delivery_log" (
    "id" BOOLEAN NOT NULL DEFAULT true,
    "epoch" UUID NOT NULL DEFAULT gen_random_uuid(),
    "oldest_position" BIGINT NOT NULL DEFAULT 1,

    CONSTRAINT "delivery_log_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "outbox_messages" (
    "id" UUID NOT NULL,
    "delivery_id" UUID NOT NULL,
    "notification_id" UUID NOT NULL,
    "channel" "channel" NOT NULL,
    "address" TEXT NOT NULL,
    "rendered" JSONB NOT NULL,
    "rendered_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "outbox_messages_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_keys" (
    "principal" TEXT NOT NULL,
    "mutation" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "body_hash" BYTEA NOT NULL,
    "result" JSONB,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("principal","mutation","key")
);

-- CreateTable
CREATE TABLE "deployment_secrets" (
    "name" TEXT NOT NULL,
    "value" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "deployment_secrets_pkey" PRIMARY KEY ("name")
);

-- CreateIndex
CREATE UNIQUE INDEX "apps_name_key" ON "apps"("name");

-- CreateIndex
CREATE UNIQUE INDEX "api_keys_secret_hash_key" ON "api_keys"("secret_hash");

-- CreateIndex
CREATE INDEX "users_merged_into_id_idx" ON "users"("merged_into_id");

-- CreateIndex
CREATE INDEX "identifiers_user_id_idx" ON "identifiers"("user_id");

-- CreateIndex
CREATE INDEX "merge_records_survivor_id_id_idx" ON "merge_records"("survivor_id", "id");

-- CreateIndex
CREATE INDEX "merge_records_created_at_idx" ON "merge_records"("created_at");

-- CreateIndex
CREATE UNIQUE INDEX "installations_address_hash_key" ON "installations"("address_hash");

-- CreateIndex
CREATE INDEX "installations_user_id_id_idx" ON "installations"("user_id", "id");

-- CreateIndex
CREATE INDEX "installation_tokens_installation_id_idx" ON "installation_tokens"("installation_id");

-- CreateIndex
CREATE UNIQUE INDEX "recipients_installation_id_key" ON "recipients"("installation_id");

-- CreateIndex
CREATE INDEX "recipients_user_id_id_idx" ON "recipients"("user_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "recipients_channel_address_key" ON "recipients"("channel", "address");

-- CreateIndex
CREATE UNIQUE INDEX "segments_name_key" ON "segments"("name");

-- CreateIndex
CREATE INDEX "segment_members_user_id_segment_id_idx" ON "segment_members"("user_id", "segment_id");

-- CreateIndex
CREATE INDEX "deliveries_notification_id_id_idx" ON "deliveries"("notification_id", "id");

-- CreateIndex
CREATE INDEX "deliveries_user_id_id_idx" ON "deliveries"("user_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "deliveries_notification_id_target_key_key" ON "deliveries"("notification_id", "target_key");

-- CreateIndex
CREATE INDEX "delivery_events_notification_id_position_idx" ON "delivery_events"("notification_id", "position");

-- CreateIndex
CREATE INDEX "delivery_events_user_id_position_idx" ON "delivery_events"("user_id", "position");

-- CreateIndex
CREATE INDEX "delivery_events_delivery_id_position_idx" ON "delivery_events"("delivery_id", "position");

-- CreateIndex
CREATE INDEX "outbox_messages_notification_id_id_idx" ON "outbox_messages"("notification_id", "id");

-- CreateIndex
CREATE INDEX "idempotency_keys_expires_at_idx" ON "idempotency_keys"("expires_at");

-- AddForeignKey
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_app_id_fkey" FOREIGN KEY ("app_id") REFERENCES "apps"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "users" ADD CONSTRAINT "users_merged_into_id_fkey" FOREIGN KEY ("merged_into_id") REFERENCES "users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "identifiers" ADD CONSTRAINT "identifiers_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "installations" ADD CONSTRAINT "installations_app_id_fkey" FOREIGN KEY ("app_id") REFERENCES "apps"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "installations" ADD CONSTRAINT "installations_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "installation_tokens" ADD CONSTRAINT "installation_tokens_installation_id_fkey" FOREIGN KEY ("installation_id") REFERENCES "installations"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recipients" ADD CONSTRAINT "recipients_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recipients" ADD CONSTRAINT "recipients_installation_id_fkey" FOREIGN KEY ("installation_id") REFERENCES "installations"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "segment_members" ADD CONSTRAINT "segment_members_segment_id_fkey" FOREIGN KEY ("segment_id") REFERENCES "segments"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "segment_members" ADD CONSTRAINT "segment_members_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "notification_counts" ADD CONSTRAINT "notification_counts_notification_id_fkey" FOREIGN KEY ("notification_id") REFERENCES "notifications"("id") ON DELETE CASCADE ON UPDATE CASCADE;


