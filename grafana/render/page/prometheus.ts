// Prometheus's answers as Grafana's data frames, named and shaped as its own data source does it.
import { DataFrame, Field, FieldType, TimeRange, createDataFrame } from '@grafana/data';

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table';
  instant?: boolean;
}

export interface Asking {
  range: TimeRange;
  scrapeSeconds: number;
  /** Points that fit across the panel: one for each of its pixels. */
  mostPoints: number;
}

interface Answered {
  metric: Record<string, string>;
  value?: [number, string];
  values?: Array<[number, string]>;
}

const STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

export function stepSeconds(asking: Asking): number {
  const wide = (asking.range.to.valueOf() - asking.range.from.valueOf()) / 1000 / asking.mostPoints;
  return STEPS.find((step) => step >= Math.max(wide, asking.scrapeSeconds)) ?? STEPS[STEPS.length - 1];
}

/** Grafana's variables in a query: its own, and the dashboard's two. */
export function substitute(expr: string, asking: Asking): string {
  const step = stepSeconds(asking);
  const rangeSeconds = Math.round((asking.range.to.valueOf() - asking.range.from.valueOf()) / 1000);
  const values: Record<string, string> = {
    __rate_interval: `${Math.max(step + asking.scrapeSeconds, 4 * asking.scrapeSeconds)}s`,
    __interval: `${step}s`,
    __range: `${rangeSeconds}s`,
    instance: '.+',
  };
  return expr.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced, plain) => values[braced ?? plain] ?? whole);
}

export async function ask(target: Target, asking: Asking, several: boolean): Promise<DataFrame[]> {
  const from = asking.range.from.valueOf() / 1000;
  const to = asking.range.to.valueOf() / 1000;
  const step = stepSeconds(asking);
  const query = new URLSearchParams({ query: substitute(target.expr, asking) });
  if (target.instant) {
    query.set('time', String(to));
  } else {
    query.set('start', String(Math.floor(from / step) * step));
    query.set('end', String(to));
    query.set('step', String(step));
  }
  const reply = await fetch(`/api/v1/${target.instant ? 'query' : 'query_range'}?${query}`);
  const body = await reply.json();
  if (body.status !== 'success') {
    throw new Error(`${target.refId}: ${body.error}`);
  }
  const answered: Answered[] =
    body.data.resultType === 'scalar' ? [{ metric: {}, value: body.data.result }] : body.data.result;
  if (target.format === 'table') {
    return [tableFrame(target, answered, several)];
  }
  return answered.map((series) => seriesFrame(target, series, asking));
}

function seriesFrame(target: Target, series: Answered, asking: Asking): DataFrame {
  const step = stepSeconds(asking);
  const given = series.values ?? (series.value ? [series.value] : []);
  const times: number[] = [];
  const values: Array<number | null> = [];
  for (const [seconds, text] of given) {
    // A hole in the series is a hole in the line: an explicit null, as Grafana puts it in.
    const before = times[times.length - 1];
    if (before !== undefined && seconds * 1000 - before > step * 1000 * 1.5) {
      times.push(before + step * 1000);
      values.push(null);
    }
    times.push(seconds * 1000);
    values.push(Number(text));
  }
  return createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, config: { interval: step * 1000 }, values: times },
      {
        name: 'Value',
        type: FieldType.number,
        config: { displayNameFromDS: legend(target, series.metric) },
        labels: series.metric,
        values,
      },
    ],
  });
}

function legend(target: Target, labels: Record<string, string>): string {
  if (target.legendFormat) {
    return target.legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');
  }
  const listed = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return listed.length ? `{${listed.join(', ')}}` : target.expr;
}

function tableFrame(target: Target, answered: Answered[], several: boolean): DataFrame {
  const labels = [...new Set(answered.flatMap((series) => Object.keys(series.metric)))].sort();
  const text: Array<Partial<Field>> = labels.map((name) => ({
    name,
    type: FieldType.string,
    config: {},
    values: answered.map((series) => series.metric[name] ?? ''),
  }));
  return createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: answered.map((series) => series.value![0] * 1000) },
      ...(text as Field[]),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        config: {},
        values: answered.map((series) => Number(series.value![1])),
      },
    ],
  });
}
