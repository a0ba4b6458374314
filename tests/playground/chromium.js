// A headless Chromium, driven over two pipes by its DevTools protocol: a page that is opened, asked and photographed.
'use strict';
const {spawn} = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

class Chromium {
  constructor(program) {
    this.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'playground-'));
    this.child = spawn(program, ['--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-first-run', '--disable-extensions',
      '--remote-debugging-pipe', `--user-data-dir=${this.profile}`, 'about:blank'], {stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']});
    this.waiting = new Map();
    this.errors = [];
    this.count = 0;
    let text = '';
    this.child.stdio[4].setEncoding('utf8').on('data', chunk => {
      text += chunk;
      for (let end; (end = text.indexOf('\0')) >= 0; text = text.slice(end + 1)) this.heard(JSON.parse(text.slice(0, end)));
    });
    this.child.on('exit', () => { for (const {reject} of this.waiting.values()) reject(new Error('Chromium has ended')); });
  }
  heard(message) {
    if (message.method === 'Runtime.exceptionThrown') {
      const details = message.params.exceptionDetails;
      this.errors.push(details.exception?.description || details.text);
    }
    const waits = this.waiting.get(message.id);
    if (!waits) return;
    this.waiting.delete(message.id);
    message.error ? waits.reject(new Error(message.error.message)) : waits.resolve(message.result);
  }
  send(method, params = {}) {
    const id = ++this.count, to = this.session ? {sessionId: this.session} : {};
    this.child.stdio[3].write(JSON.stringify({id, method, params, ...to}) + '\0');
    return new Promise((resolve, reject) => this.waiting.set(id, {resolve, reject}));
  }
  /** Opens `url` in a window of this size, `scheme` "light" or "dark". */
  async open(url, width, height, scheme = 'light') {
    if (!this.session) {
      const {targetInfos} = await this.send('Target.getTargets');
      const page = targetInfos.find(t => t.type === 'page');
      this.session = (await this.send('Target.attachToTarget', {targetId: page.targetId, flatten: true})).sessionId;
      await this.send('Page.enable');
      await this.send('Runtime.enable');
      await this.send('Performance.enable', {timeDomain: 'threadTicks'});  // durations are processor time
    }
    await this.send('Emulation.setDeviceMetricsOverride', {width, height, deviceScaleFactor: 1, mobile: width < 600});
    await this.send('Emulation.setEmulatedMedia', {features: [{name: 'prefers-color-scheme', value: scheme}]});
    await this.send('Page.navigate', {url});
  }
  /** The value of a JavaScript expression in the page; a promise is waited for. */
  async value(expression) {
    const {result, exceptionDetails} = await this.send('Runtime.evaluate', {expression, returnByValue: true, awaitPromise: true});
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description || exceptionDetails.text);
    return result.value;
  }
  /** Waits until `expression` holds; throws after so many seconds. */
  async until(expression, seconds) {
    for (const end = Date.now() + 1000 * seconds;;) {
      if (await this.value(expression)) return;
      if (Date.now() > end) throw new Error(`after ${seconds} s not: ${expression}`);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }
  /** Seconds of processor time that the page's thread has used. */
  async processorTime() {
    return (await this.send('Performance.getMetrics')).metrics.find(m => m.name === 'TaskDuration').value;
  }
  async photograph(file, whole = true) {
    const {cssContentSize: size} = await this.send('Page.getLayoutMetrics');
    const clip = {x: 0, y: 0, width: size.width, height: size.height, scale: 1};
    const {data} = await this.send('Page.captureScreenshot', whole ? {captureBeyondViewport: true, clip} : {});
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }
  async close() {
    const ended = new Promise(resolve => this.child.once('exit', resolve));
    const patience = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    this.session = undefined;
    this.send('Browser.close').catch(() => {});
    await ended;
    clearTimeout(patience);
    try {
      fs.rmSync(this.profile, {recursive: true, force: true, maxRetries: 10, retryDelay: 200});
    } catch (error) {  // a helper process of its own may still write there: no fault of the page
      console.error(error.message);
    }
  }
}
module.exports = {Chromium};
