#include "operator_port.h"

#include <unistd.h>

#include "listener.h"

bool operator_port_open(struct operator_port *port, h2o_globalconf_t *config, const char *host, int number,
                        const struct http_site *site)
{
    if (listener_open("METRICS_ADDR", host, number, 1, &port->fd) < 0) {
        return false;
    }
    port->is_open = true;
    port->http.site = site;
    port->hosts[0] = h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("operators")), 65535);
    port->handler = http_install(port->hosts[0]);
    return true;
}

static void on_connection(struct acceptor *acceptor, h2o_socket_t *socket)
{
    struct operator_port *port = (struct operator_port *)((char *)acceptor - offsetof(struct operator_port, acceptor));
    struct place *place = places_take(port->places, NULL);
    if (place == NULL) {
        h2o_socket_close(socket);
    } else {
        http_connections_accept(port->connections, &port->accept, socket, place);
    }
}

void operator_port_start(struct operator_port *port, h2o_context_t *context, const struct http_worker *worker,
                         struct http_connections *connections, struct places *places)
{
    if (!port->is_open) {
        return;
    }
    port->http.loop = worker->loop;
    port->http.context = worker->context;
    port->connections = connections;
    port->places = places;
    port->accept = (h2o_accept_ctx_t){.ctx = context, .hosts = port->hosts};
    http_bind(context, port->handler, &port->http);
    port->acceptor =
        (struct acceptor){.loop = worker->loop, .connections = connections, .on_connection = on_connection};
    acceptor_start(&port->acceptor, port->fd);
}

void operator_port_close(struct operator_port *port)
{
    if (port->acceptor.listener != NULL) {
        acceptor_close(&port->acceptor);
    } else if (port->is_open) {
        close(port->fd);
    }
    port->is_open = false;
}
