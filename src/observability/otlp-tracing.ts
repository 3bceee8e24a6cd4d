import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Logger } from '../logger.ts';
import { createOutage } from '../stream/outage.ts';
import type { OperationSpan, SpanFacts, TracedRequest, Tracing } from './tracing.ts';

// Loaded only where traces are wanted: the libraries take a fifth of a second to load.

/** How long a stop waits for the collector. @default 2_000 // 2 seconds */
const flushMs = 2_000;

/** An operation's name is its client's text. @default 100 // characters */
const nameLengthMax = 100;

interface OtlpTracingOptions {
  /** Where spans are posted, such as `http://127.0.0.1:4318/v1/traces`. */
  url: string;
  serviceName: string;
  log: Logger;
}

/**
 * Sends traces to a collector by OTLP over HTTP, as JSON, in batches and in the background. While it does not answer, spans
 * are dropped and the outage is logged once.
 */
export function openOtlpTracing({ url, serviceName, log }: OtlpTracingOptions): Tracing {
  const exporter = tellOutages(new OTLPTraceExporter({ url }), log);
  const provider = new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': serviceName })),
    spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: 1_000 })],
  });
  const tracer = provider.getTracer('carillon');
  const active = new AsyncLocalStorage<Context>();

  async function within<Result>(span: Span, parent: Context, run: () => Promise<Result>): Promise<Result> {
    try {
      return await active.run(trace.setSpan(parent, span), run);
    } catch (error) {
      // Not its message: it may quote what a caller sent.
      span.setAttribute('error.type', error instanceof Error ? error.name : typeof error);
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  }

  return {
    traceOperation(request, run) {
      const parent = toContext(request.traceparent);
      const span = tracer.startSpan('operation', { kind: SpanKind.SERVER, attributes: toFacts(request) }, parent);
      return within(span, parent, () => run(describe(span)));
    },
    trace(name, facts, run) {
      const parent = active.getStore() ?? ROOT_CONTEXT;
      return within(tracer.startSpan(name, { attributes: facts }, parent), parent, run);
    },
    async close() {
      await Promise.race([provider.shutdown().catch(() => undefined), sleep(flushMs, undefined, { ref: false })]);
    },
  };
}

function toFacts({ callerKind, transport }: TracedRequest): SpanFacts {
  return { 'carillon.caller.kind': callerKind ?? 'nobody', 'carillon.transport': transport };
}

function describe(span: Span): OperationSpan {
  return {
    found({ name, type, documentHash }) {
      const shortName = name?.slice(0, nameLengthMax);
      span.updateName(shortName ?? type);
      span.setAttributes({ 'graphql.operation.type': type, 'graphql.document.hash': documentHash });
      if (shortName !== undefined) span.setAttribute('graphql.operation.name', shortName);
    },
    done({ code, requestedCost }) {
      span.setAttribute('carillon.outcome', code ?? 'OK');
      if (requestedCost !== null) span.setAttribute('carillon.cost', requestedCost);
      if (code === 'INTERNAL_SERVER_ERROR') span.setStatus({ code: SpanStatusCode.ERROR });
    },
  };
}

/** W3C Trace Context, version 00: https://www.w3.org/TR/trace-context/#traceparent-header */
const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

function toContext(traceparent: string | null): Context {
  const [, traceId = '', spanId = '', flags = ''] = traceparentForm.exec(traceparent ?? '') ?? [];
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

function tellOutages(exporter: OTLPTraceExporter, log: Logger): SpanExporter {
  const outage = createOutage(log, {
    began: 'The collector of traces takes none; they are dropped',
    ended: 'The collector of traces takes them again',
  });
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error) outage.failed(result.error);
        else outage.over();
        done(result);
      });
    },
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
}
