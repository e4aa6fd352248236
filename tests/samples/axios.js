'use strict';
// What the samples use of the package axios, on Node's own fetch, so that no test has to install a package.

class AxiosError extends Error {
  constructor(response) {
    super(`Request failed with status code ${response.status}`);
    this.response = response;
  }
}

function create(defaults = {}) {
  async function post(path, data, options = {}) {
    const answer = await fetch((defaults.baseURL || '') + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...defaults.headers, ...options.headers },
      body: JSON.stringify(data),
    });
    const text = await answer.text();
    const response = { status: answer.status, headers: answer.headers, data: text ? JSON.parse(text) : '' };
    if (!answer.ok) {
      throw new AxiosError(response);
    }
    return response;
  }
  return { post };
}

module.exports = { ...create(), create };
