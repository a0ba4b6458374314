// A headless Firefox, driven by its Marionette protocol: the same functions as those of chromium.js.
'use strict';
const {spawn} = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

class Firefox {
  constructor(program) {
    this.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'playground-'));
    const prefs = {'marionette.port': 0, 'datareporting.policy.dataSubmissionEnabled': false, 'app.update.auto': false, 'browser.shell.checkDefaultBrowser': false};
    fs.writeFileSync(path.join(this.profile, 'user.js'), Object.entries(prefs).map(([k, v]) => `user_pref("${k}", ${v});\n`).join(''));
    this.child = spawn(program, ['--headless', '--marionette', '--remote-allow-system-access', '--no-remote', '--profile', this.profile, 'about:blank'], {stdio: 'ignore'});
    this.ended = new Promise(resolve => this.child.once('exit', resolve));
    this.child.on('exit', () => { for (const {reject} of this.waiting.values()) reject(new Error('Firefox has ended')); });
    this.waiting = new Map();
    this.errors = [];
    this.count = 0;
  }
  async connect() {
    const file = path.join(this.profile, 'MarionetteActivePort');
    for (const end = Date.now() + 60000; !fs.existsSync(file) || fs.readFileSync(file, 'utf8') === '';) {
      if (Date.now() > end) throw new Error('Firefox opens no port');
      await sleep(50);
    }
    let bytes = Buffer.alloc(0);
    await new Promise((resolve, reject) => {
      this.socket = net.connect(Number(fs.readFileSync(file, 'utf8')), '127.0.0.1').on('error', reject);
      this.socket.on('data', chunk => {  // messages come as LENGTH:JSON; the first says who speaks
        bytes = Buffer.concat([bytes, chunk]);
        for (let colon; (colon = bytes.indexOf(':')) >= 0;) {
          const end = colon + 1 + Number(bytes.subarray(0, colon));
          if (bytes.length < end) return;
          const message = JSON.parse(bytes.subarray(colon + 1, end));
          bytes = bytes.subarray(end);
          Array.isArray(message) ? this.heard(message) : resolve();
        }
      });
    });
    await this.send('WebDriver:NewSession', {capabilities: {alwaysMatch: {timeouts: {script: 600000, pageLoad: 120000}}}});
  }
  heard([, id, error, result]) {
    const {resolve, reject} = this.waiting.get(id);
    this.waiting.delete(id);
    error ? reject(new Error(error.message)) : resolve(result);
  }
  send(command, params = {}) {
    const id = ++this.count, text = JSON.stringify([0, id, command, params]);
    this.socket.write(`${Buffer.byteLength(text)}:${text}`);
    return new Promise((resolve, reject) => this.waiting.set(id, {resolve, reject}));
  }
  /** Opens `url` in a window of this size, `scheme` "light" or "dark". */
  async open(url, width, height, scheme = 'light') {
    if (!this.socket) await this.connect();
    await this.inBrowser('Services.prefs.setIntPref("layout.css.prefers-color-scheme.content-override", arguments[0]), gBrowser.selectedBrowser.fullZoom = 1', scheme === 'dark' ? 0 : 1);
    await this.send('WebDriver:SetWindowRect', {width, height});
    await this.send('WebDriver:Navigate', {url});
    const inner = await this.value('window.innerWidth');  // a window has borders, and at least some 500 pixels: then the page is enlarged
    if (inner < width) await this.send('WebDriver:SetWindowRect', {width: 2 * width - inner, height});
    else await this.inBrowser('gBrowser.selectedBrowser.fullZoom = arguments[0]', inner / width);
    await this.value('window.onerror = (message, file, line) => (window.faults = [...(window.faults || []), `${file}:${line}: ${message}`], false), 0');
  }
  /** Runs a script with the rights of Firefox itself. */
  async inBrowser(script, argument) {
    await this.send('Marionette:SetContext', {value: 'chrome'});
    await this.send('WebDriver:ExecuteScript', {script, args: [argument]});
    await this.send('Marionette:SetContext', {value: 'content'});
  }
  /** The value of a JavaScript expression in the page, by the page's own eval, which knows its `const`; a promise is waited for. */
  async value(expression) {
    const script = 'return Promise.resolve(window.eval(arguments[0])).then(value => JSON.stringify({value, faults: window.faults || []}))';
    const {value, faults} = JSON.parse((await this.send('WebDriver:ExecuteScript', {script, args: [expression]})).value);
    this.errors.push(...faults.filter(fault => !this.errors.includes(fault)));
    return value;
  }
  /** Waits until `expression` holds; throws after so many seconds. */
  async until(expression, seconds) {
    for (const end = Date.now() + 1000 * seconds; !await this.value(expression); await sleep(50))
      if (Date.now() > end) throw new Error(`after ${seconds} s not: ${expression}`);
  }
  async photograph(file, whole = true) {
    const {value} = await this.send('WebDriver:TakeScreenshot', {full: whole});
    fs.writeFileSync(file, Buffer.from(value, 'base64'));
  }
  async close() {
    if (this.socket) this.send('Marionette:Quit', {flags: ['eForceQuit']}).catch(() => {});
    else this.child.kill();
    const patience = setTimeout(() => this.child.kill('SIGKILL'), 10000);
    await this.ended;
    clearTimeout(patience);
    if (this.socket) this.socket.destroy();
    fs.rmSync(this.profile, {recursive: true, force: true, maxRetries: 10, retryDelay: 200});
  }
}
module.exports = {Firefox};
