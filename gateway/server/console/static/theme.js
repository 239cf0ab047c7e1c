// Light or dark before the first paint: the choice kept here, else what the system prefers. A classic script, run at once.
(() => {
  const KEY = "crossover-theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be refused
    }
  };
  const apply = () => {
    const theme = kept() ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("themechange", { detail: theme }));
  };
  const choose = (theme) => {
    try {
      if (theme === (dark.matches ? "dark" : "light")) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      document.documentElement.dataset.theme = theme;
      document.dispatchEvent(new CustomEvent("themechange", { detail: theme }));
      return;
    }
    apply();
  };
  dark.addEventListener("change", apply);
  window.crossoverTheme = {
    toggle: () => choose(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
  };
  apply();
})();
