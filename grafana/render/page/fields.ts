// What Grafana does to a panel's frames before it draws them: transformations, field defaults, overrides.
import {
  DataFrame, FieldConfigSource, GrafanaTheme2, Registry, applyFieldOverrides, cacheFieldDisplayNames, fieldMatchers, standardTransformers,
  standardTransformersRegistry, transformDataFrame,
} from '@grafana/data';
import { firstValueFrom } from 'rxjs';

const STANDARD = ['unit', 'min', 'max', 'fieldMinMax', 'decimals', 'displayName', 'noValue', 'color', 'mappings',
  'thresholds', 'links'];
const CUSTOM = ['drawStyle', 'lineInterpolation', 'lineWidth', 'fillOpacity', 'gradientMode', 'lineStyle', 'lineColor',
  'spanNulls', 'insertNulls', 'showPoints', 'pointSize', 'stacking', 'axisPlacement', 'axisLabel', 'axisSoftMin',
  'axisSoftMax', 'axisCenteredZero', 'axisGridShow', 'axisBorderShow', 'axisColorMode', 'axisWidth',
  'scaleDistribution', 'thresholdsStyle', 'hideFrom', 'barAlignment', 'barWidthFactor', 'fillBelowTo', 'transform',
  'align', 'width', 'minWidth', 'cellOptions', 'inspect', 'filterable', 'hidden'];

/** Grafana fills this registry from its panel plugins, which are not published: here it knows what our panels use. */
const known = new Registry<any>(() => [
  ...STANDARD.map((path) => property(path, path, false)),
  ...CUSTOM.map((path) => property(`custom.${path}`, path, true)),
]);

function property(id: string, path: string, isCustom: boolean) {
  return {
    id, path, isCustom, name: path, description: '', settings: {}, editor: () => null, override: () => null,
    process: (value: unknown) => value,
    shouldApply: () => true,
  };
}

// Some are listed twice, under an older name too.
const transformers = new Map(Object.values(standardTransformers).map((one: any) => [one.id, one]));
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((one) => ({
    id: one.id, name: one.name, transformation: () => Promise.resolve(one), editor: () => null,
  })) as any
);

/** As a panel of the kind has them before anybody chose anything. */
const CUSTOM_DEFAULTS: Record<string, object> = {
  timeseries: {
    drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', spanNulls: false,
    insertNulls: false, showPoints: 'auto', pointSize: 5, stacking: { mode: 'none', group: 'A' }, axisPlacement: 'auto',
    axisLabel: '', axisColorMode: 'text', axisBorderShow: false, axisCenteredZero: false, barAlignment: 0,
    scaleDistribution: { type: 'linear' }, thresholdsStyle: { mode: 'off' },
    hideFrom: { tooltip: false, viz: false, legend: false },
  },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false },
};

export function fieldConfig(type: string, given: FieldConfigSource): FieldConfigSource {
  const config = structuredClone(given);
  const defaults: any = config.defaults;
  defaults.custom = { ...CUSTOM_DEFAULTS[type], ...defaults.custom };
  for (const step of defaults.thresholds?.steps ?? []) {
    step.value ??= -Infinity; // JSON has no -Infinity: Grafana reads null so
  }
  return config;
}

export async function prepared(frames: DataFrame[], panel: any, theme: GrafanaTheme2): Promise<DataFrame[]> {
  const transformed = panel.transformations?.length
    ? await firstValueFrom(transformDataFrame(panel.transformations, frames, { interpolate: (text) => text }))
    : frames;
  for (const { matcher } of panel.fieldConfig.overrides ?? []) {
    if (!fieldMatchers.getIfExists(matcher.id)) {
      throw new Error(`unknown matcher ${matcher.id}`);
    }
  }
  const ready = applyFieldOverrides({
    data: transformed,
    fieldConfig: fieldConfig(panel.type, panel.fieldConfig),
    fieldConfigRegistry: known as any,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(ready);
  return ready;
}
