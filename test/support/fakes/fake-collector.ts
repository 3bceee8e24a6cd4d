import { createServer } from 'node:http';
import { z } from 'zod';
import { closeHttp, listenOnLoopback, readBody } from './loopback.ts';

const valueSchema = z.union([
  z.strictObject({ stringValue: z.string() }).transform(({ stringValue }) => stringValue),
  z.strictObject({ intValue: z.union([z.number(), z.string()]) }).transform(({ intValue }) => Number(intValue)),
  z.strictObject({ doubleValue: z.number() }).transform(({ doubleValue }) => doubleValue),
  z.strictObject({ boolValue: z.boolean() }).transform(({ boolValue }) => boolValue),
]);

const attributesSchema = z
  .array(z.object({ key: z.string(), value: valueSchema }))
  .transform((attributes) => Object.fromEntries(attributes.map(({ key, value }) => [key, value])));

const spanSchema = z.object({
  name: z.string(),
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  attributes: attributesSchema,
  status: z.object({ code: z.number().optional(), message: z.string().optional() }).optional(),
});

// https://opentelemetry.io/docs/specs/otlp/#otlphttp
const requestSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: attributesSchema }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});

export type CollectedSpan = z.infer<typeof spanSchema> & { service: unknown };

/** A collector of OpenTelemetry traces, as OTLP over HTTP with JSON goes. */
export interface FakeCollector {
  /** What `OTEL_EXPORTER_OTLP_ENDPOINT` would be. */
  url: string;
  spans: readonly CollectedSpan[];
  /** All that was sent, as it came. */
  text(): string;
  /** Takes requests from now on, and never answers. */
  fallSilent(): void;
  close(): Promise<void>;
}

export async function startFakeCollector(): Promise<FakeCollector> {
  const spans: CollectedSpan[] = [];
  let text = '';
  let isSilent = false;
  const server = createServer((request, response) => {
    readBody(request).then(
      (body) => {
        if (isSilent) return;
        if (request.method !== 'POST' || request.url !== '/v1/traces') return response.writeHead(404).end();
        text += `${JSON.stringify(request.headers)}\n${body}\n`;
        for (const { resource, scopeSpans } of requestSchema.parse(JSON.parse(String(body))).resourceSpans) {
          const service = resource.attributes['service.name'];
          spans.push(...scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ ...span, service }))));
        }
        return response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      },
      () => response.destroy(),
    );
  });
  const port = await listenOnLoopback(server);
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    text: () => text,
    fallSilent() {
      isSilent = true;
    },
    close: () => closeHttp(server),
  };
}
