<?php
// How the PHP programs of the client matrix report: one line per step, and on to the next one.

const MANY = 120; // keys of the MGET and SCAN steps

/** 1 MiB with every byte value. */
function binary(): string
{
    return str_repeat(implode('', array_map('chr', range(0, 255))), 4096);
}

function skipped(string $reason): never
{
    echo "SKIPPED $reason\n";
    exit(0);
}

function expect(string $what, mixed $found, mixed $wanted): void
{
    if ($found !== $wanted) {
        throw new Exception("$what: found " . var_export($found, true) . ', wanted ' . var_export($wanted, true));
    }
}

/** Another process of the same program that runs one role of it: PHP has no threads. */
function beside(string $role): array
{
    $command = [PHP_BINARY, ...array_slice($GLOBALS['argv'], 0, 3), $role];
    $process = proc_open($command, [1 => ['pipe', 'w'], 2 => STDERR], $pipes);
    return [$process, $pipes];
}

/** @param array<string, callable> $steps each gives null, or '-' for what the library does not have */
function run(array $steps): void
{
    // Notices of a library are failures too.
    set_error_handler(fn ($level, $text) => error_reporting() & $level ? throw new ErrorException($text) : false);
    foreach ($steps as $name => $work) {
        try {
            $said = $work() ?? 'ok';
        } catch (Throwable $error) {
            $said = 'FAIL ' . get_class($error) . ': ' . $error->getMessage() . ' at line ' . $error->getLine();
        }
        echo "$name ", substr(preg_replace('/\s+/', ' ', $said), 0, 300), "\n";
    }
}
