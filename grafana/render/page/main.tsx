// One dashboard, drawn once: ?dashboard=FILE&minutes=60&theme=dark. When it is, <body> has data-drawn, and data-errors
// what went wrong.
import { ThemeContext, createTheme, dateTime } from '@grafana/data';
import { GlobalStyles } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'rrd5';

import { Dashboard } from './dashboard';

const asked = new URLSearchParams(location.search);
const mode = asked.get('theme') === 'light' ? 'light' : 'dark';
const minutes = Number(asked.get('minutes') ?? 60);
const scrapeSeconds = Number(asked.get('scrape') ?? 15);
const theme = createTheme({ colors: { mode } });
const to = dateTime();
const range = { from: dateTime(to).subtract(minutes, 'minutes'), to, raw: { from: `now-${minutes}m`, to: 'now' } };

function Page() {
  const [dashboard, setDashboard] = useState<any>(null);
  const [left, setLeft] = useState<Record<number, string | null>>({});

  useEffect(() => {
    fetch(`/dashboards/${asked.get('dashboard')}`).then((reply) => reply.json()).then(setDashboard);
  }, []);
  useEffect(() => {
    const panels = dashboard?.panels.filter(({ type }: any) => type !== 'row') ?? [];
    if (panels.length && panels.every(({ id }: any) => id in left)) {
      document.body.dataset.errors = Object.values(left).filter(Boolean).join('; ');
      document.body.dataset.drawn = String(panels.length);
    }
  }, [left, dashboard]);
  if (!dashboard) {
    return null;
  }
  return (
    <>
      <header>
        <h1>{dashboard.title}</h1>
        <span>
          {dateTime(range.from).utc().format('YYYY-MM-DD HH:mm')} to {dateTime(to).utc().format('HH:mm')} UTC
        </span>
        <p>
          Drawn from this dashboard's JSON and a live Prometheus with Grafana's own components (@grafana/ui 13.2.2), not
          by a Grafana server. {asked.get('note')}
        </p>
      </header>
      <Dashboard
        dashboard={dashboard} range={range} scrapeSeconds={scrapeSeconds} width={innerWidth - 32}
        onPanel={(id, error) => setLeft((seen) => ({ ...seen, [id]: error }))}
      />
    </>
  );
}

const style = document.createElement('style');
style.textContent = `
  body { background: ${theme.colors.background.canvas}; color: ${theme.colors.text.primary}; overflow: auto; }
  main { padding: 12px 16px; }
  header { display: flex; align-items: baseline; gap: 16px; margin-bottom: 8px; }
  header h1 { font-size: 20px; margin: 0; white-space: nowrap; }
  header span { color: ${theme.colors.text.secondary}; white-space: nowrap; }
  header p { color: ${theme.colors.text.secondary}; margin: 0 0 0 auto; font-size: 12px; text-align: right; }
  .row { font-weight: 500; font-size: 15px; line-height: 30px; }
  .nothing { display: flex; height: 100%; align-items: center; justify-content: center;
             color: ${theme.colors.text.secondary}; }
`;
document.head.append(style);
createRoot(document.querySelector('main')!).render(
  <MemoryRouter>
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Page />
    </ThemeContext.Provider>
  </MemoryRouter>
);
