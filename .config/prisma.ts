import { defineConfig } from 'prisma/config';

// `prisma generate` needs no engine, but the CLI would download one first: any executable named here stops that.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= process.execPath;

export default defineConfig({
  schema: '../prisma/schema.prisma',
  migrations: { path: '../prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL ?? 'postgresql://127.0.0.1/carillon' },
});
