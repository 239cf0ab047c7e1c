// A dashboard on Grafana's grid: 24 columns, rows of 30 px, 8 px between.
import { DataFrame, TimeRange } from '@grafana/data';
import { PanelChrome, useTheme2 } from '@grafana/ui';
import { useEffect, useState } from 'react';

import { prepared } from './fields';
import { PanelBody } from './panels';
import { Asking, Target, ask } from './prometheus';

const ROW = 30;
const GAP = 8;
const COLUMNS = 24;

interface Props {
  dashboard: any;
  range: TimeRange;
  scrapeSeconds: number;
  width: number;
  onPanel: (id: number, error: string | null) => void;
}

export function Dashboard({ dashboard, range, scrapeSeconds, width, onPanel }: Props) {
  const column = (width + GAP) / COLUMNS;
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }: any) => gridPos.y + gridPos.h));
  return (
    <div style={{ position: 'relative', height: bottom * (ROW + GAP) }}>
      {dashboard.panels.map((panel: any) => {
        const { x, y, w, h } = panel.gridPos;
        const box = {
          left: x * column, top: y * (ROW + GAP), width: w * column - GAP, height: h * (ROW + GAP) - GAP,
        };
        return (
          <div key={panel.id} style={{ position: 'absolute', ...box }}>
            {panel.type === 'row' ? (
              <div className="row">⌄ {panel.title}</div>
            ) : (
              <Panel panel={panel} range={range} scrapeSeconds={scrapeSeconds} {...box} onPanel={onPanel} />
            )}
          </div>
        );
      })}
    </div>
  );
}

interface PanelProps {
  panel: any;
  range: TimeRange;
  scrapeSeconds: number;
  width: number;
  height: number;
  onPanel: Props['onPanel'];
}

function Panel({ panel, range, scrapeSeconds, width, height, onPanel }: PanelProps) {
  const theme = useTheme2();
  const [frames, setFrames] = useState<DataFrame[] | null>(null);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    const asking: Asking = { range, scrapeSeconds, mostPoints: Math.round(width) };
    const targets: Target[] = panel.targets;
    Promise.all(targets.map((target) => ask(target, asking, targets.length > 1)))
      .then((found) => prepared(found.flat(), panel, theme))
      .then((ready) => {
        setFrames(ready);
        onPanel(panel.id, null);
      })
      .catch((raised) => {
        setError(String(raised));
        onPanel(panel.id, `${panel.title}: ${raised}`);
      });
  }, [panel]);

  return (
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height}
      padding={panel.type === 'table' ? 'none' : 'md'} statusMessage={error ?? undefined}>
      {(innerWidth, innerHeight) =>
        frames && <PanelBody panel={panel} frames={frames} range={range} width={innerWidth} height={innerHeight} />
      }
    </PanelChrome>
  );
}
