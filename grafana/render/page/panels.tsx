// One component of Grafana's for each kind of panel that the dashboards use, given what Grafana's own panels give it.
import {
  DataFrame, FieldDisplay, TimeRange, getDisplayValueAlignmentFactors, getFieldDisplayValues,
} from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizRepeater, useTheme2 } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

import { fieldConfig } from './fields';

export interface Drawn {
  panel: any;
  frames: DataFrame[];
  range: TimeRange;
  width: number;
  height: number;
}

function values({ panel, frames, theme }: Drawn & { theme: any }): FieldDisplay[] {
  return getFieldDisplayValues({
    fieldConfig: fieldConfig(panel.type, panel.fieldConfig),
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: frames,
    timeZone: 'utc',
    sparkline: panel.options.graphMode === 'area',
  });
}

function Nothing({ panel }: { panel: any }) {
  return <div className="nothing">{panel.fieldConfig.defaults.noValue || 'No data'}</div>;
}

function Stat(drawn: Drawn) {
  const theme = useTheme2();
  const { options } = drawn.panel;
  return (
    <VizRepeater
      source={drawn.frames} renderCounter={0} width={drawn.width} height={drawn.height} itemSpacing={3} autoGrid
      orientation={options.orientation}
      getValues={() => values({ ...drawn, theme })}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, count, alignmentFactors }) => (
        <BigValue
          value={value.display} sparkline={value.sparkline} count={count} width={width} height={height} theme={theme} text={options.text}
          colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode}
          textMode={options.textMode} alignmentFactors={alignmentFactors} disableWideLayout={!options.wideLayout}
        />
      )}
    />
  );
}

function Bars(drawn: Drawn) {
  const theme = useTheme2();
  const { options } = drawn.panel;
  return (
    <VizRepeater
      source={drawn.frames} renderCounter={0} width={drawn.width} height={drawn.height} itemSpacing={8}
      minVizHeight={16} maxVizHeight={300}
      orientation={options.orientation}
      getValues={() => values({ ...drawn, theme })}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, orientation, alignmentFactors }) => (
        <BarGauge
          value={value.display} field={value.field} width={width} height={height} theme={theme} itemSpacing={8}
          orientation={orientation} displayMode={options.displayMode} showUnfilled={options.showUnfilled}
          valueDisplayMode={options.valueMode} namePlacement={options.namePlacement} text={options.text}
          display={value.view?.getFieldDisplayProcessor(value.colIndex!)} alignmentFactors={alignmentFactors}
        />
      )}
    />
  );
}

function Lines({ panel, frames, range, width, height }: Drawn) {
  if (!frames.length) {
    return <Nothing panel={panel} />;
  }
  return (
    <TimeSeries
      frames={frames} structureRev={1} width={width} height={height} timeRange={range} timeZone="utc"
      legend={panel.options.legend} options={panel.options}
    />
  );
}

function Table({ panel, frames, range, width, height }: Drawn) {
  if (!frames.length || !frames[0].length) {
    return <Nothing panel={panel} />;
  }
  return (
    <div style={{ width, height }}>
      <TableNG
        data={frames[0]} width={width} height={height} cellHeight={panel.options.cellHeight} timeRange={range}
        structureRev={1} fieldConfig={panel.fieldConfig}
      />
    </div>
  );
}

const KINDS: Record<string, (drawn: Drawn) => React.JSX.Element> = {
  stat: Stat, bargauge: Bars, timeseries: Lines, table: Table,
};

export function PanelBody(drawn: Drawn) {
  const Kind = KINDS[drawn.panel.type];
  if (!Kind) {
    throw new Error(`nothing draws panels of type ${drawn.panel.type}`);
  }
  return <Kind {...drawn} />;
}
