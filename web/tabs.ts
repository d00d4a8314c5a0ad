/** Makes a role=tablist's buttons switch its panels, by click and by arrow keys. `onChange` hears the panel's id. */
export function startTabs(list: HTMLElement, onChange: (panel: string) => void, signal: AbortSignal): void {
  const tabs = Array.from(list.querySelectorAll<HTMLButtonElement>('[role="tab"]'));
  const select = (chosen: HTMLButtonElement) => {
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")!)!.hidden = !isChosen;
    }
    onChange(chosen.getAttribute("aria-controls")!);
  };
  for (const [at, tab] of tabs.entries()) {
    tab.addEventListener("click", () => select(tab), { signal });
    const move = ({ key }: KeyboardEvent) => {
      const moves: Readonly<Record<string, number>> = {
        ArrowRight: at + 1,
        ArrowLeft: at - 1,
        Home: 0,
        End: tabs.length - 1,
      };
      const to = moves[key];
      if (to === undefined) return;
      const next = tabs[(to + tabs.length) % tabs.length]!;
      next.focus();
      select(next);
    };
    tab.addEventListener("keydown", move, { signal });
  }
}
