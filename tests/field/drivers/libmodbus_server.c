/* A Modbus server of libmodbus' own: `server tcp PORT` on loopback, or `server rtu DEVICE` as unit 3.
   Ends when its standard input ends. */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static void serve(modbus_t *context, modbus_mapping_t *memory, int wire) {
    uint8_t query[MODBUS_MAX_ADU_LENGTH];
    for (;;) {
        fd_set ready;
        FD_ZERO(&ready);
        FD_SET(STDIN_FILENO, &ready);
        FD_SET(wire, &ready);
        if (select(wire + 1, &ready, NULL, NULL, NULL) < 0 || FD_ISSET(STDIN_FILENO, &ready)) exit(0);
        int size = modbus_receive(context, query);
        if (size > 0) modbus_reply(context, query, size, memory);
        else if (size < 0 && errno == ECONNRESET) return;
    }
}

int main(int count, char **words) {
    if (count != 3) return 2;
    int tcp = !strcmp(words[1], "tcp");
    modbus_t *context = tcp ? modbus_new_tcp("127.0.0.1", atoi(words[2])) : modbus_new_rtu(words[2], 115200, 'N', 8, 1);
    modbus_mapping_t *memory = modbus_mapping_new(500, 500, 2000, 500);
    if (context == NULL || memory == NULL) return 1;
    memory->tab_input_registers[30] = 0xC2C8;
    memory->tab_input_bits[42] = 1;
    if (!tcp) {
        modbus_set_slave(context, 3);
        if (modbus_connect(context)) return 1;
        puts("ready");
        fflush(stdout);
        serve(context, memory, modbus_get_socket(context));
        return 0;
    }
    int listener = modbus_tcp_listen(context, 1);
    if (listener < 0) return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        modbus_tcp_accept(context, &listener);
        serve(context, memory, modbus_get_socket(context));
    }
}
