"""A client that is not JavaScript, for tests: python-socketio. `chat_client.py URL TOKEN TRANSPORT…`

Prints a line of JSON for each thing that happens: ["connected", transport], ["refused", reason], [event, data] or
[event, data, offset] for each event, ["ack", reply] for each ack. Emits each [event, data] that it reads, a line each, until the end of its input.
"""
import asyncio
import json
import sys

import socketio


def say(*what):
    print(json.dumps(what), flush=True)


async def main(url, token, *transports):
    client = socketio.AsyncClient(reconnection=False)
    is_welcome = asyncio.get_running_loop().create_future()

    @client.on('*')
    async def on_any(event, *arguments):
        say(event, *arguments)

    @client.on('connect')
    async def on_connect():
        is_welcome.set_result(True)

    @client.on('connect_error')
    async def on_refused(reason):
        say('refused', reason)
        is_welcome.set_result(False)

    await client.connect(url, auth={'token': token}, transports=list(transports), wait=False)
    if not await is_welcome:
        await client.disconnect()
        return
    say('connected', client.transport())
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        event, data = json.loads(line)
        say('ack', await client.call(event, data, timeout=30))
    await client.disconnect()


asyncio.run(main(*sys.argv[1:]))
