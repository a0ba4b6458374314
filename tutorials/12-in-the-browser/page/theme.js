// Light or dark before anything is drawn: as chosen here or on the site, which keep it under one name; else as the system has it.
'use strict';
(() => {
  const root = document.documentElement, system = matchMedia('(prefers-color-scheme: dark)');
  const saved = () => { try { return localStorage.getItem('theme'); } catch { return null; } };  // some browsers refuse it to files
  const show = theme => {
    root.dataset.theme = theme || saved() || (system.matches ? 'dark' : 'light');
    document.dispatchEvent(new Event('theme'));
  };
  show();
  system.addEventListener('change', () => show());
  addEventListener('storage', event => { if (event.key === 'theme') show(event.newValue); });
  addEventListener('DOMContentLoaded', () => {
    document.getElementById('theme').onclick = () => {
      const next = root.dataset.theme === 'dark' ? 'light' : 'dark';
      try { localStorage.setItem('theme', next); } catch { /* lasts for this page only */ }
      show(next);
    };
  });
})();
