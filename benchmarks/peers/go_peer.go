// Go's pipes and processes, measured for pipe_bench, queue_bench, process_bench and call_bench. The
// children are this program again, started by os/exec.
//
//	go_peer trip BYTES COUNT             prints seconds per round trip of a message
//	go_peer flow BYTES COUNT             prints seconds per message to a child
//	go_peer start MEGABYTES FDS COUNT    prints seconds per child that ends at once
//	go_peer call COUNT                   prints seconds per child that doubles a number
//
// A message is its length in four bytes and its content, in one write; reading is buffered.
// A wrong result is a panic, and a failed exit.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

// pipe is both directions between a process and another.
type pipe struct {
	in  *bufio.Reader
	out *bufio.Writer
}

func newPipe(in io.Reader, out io.Writer) pipe {
	return pipe{bufio.NewReaderSize(in, 1<<16), bufio.NewWriterSize(out, 1<<16)}
}

func (p pipe) send(message []byte) {
	var header [4]byte
	binary.LittleEndian.PutUint32(header[:], uint32(len(message)))
	p.out.Write(header[:])
	p.out.Write(message)
	check(p.out.Flush())
}

// receive is false at the end of the stream.
func (p pipe) receive(into []byte) bool {
	var header [4]byte
	_, err := io.ReadFull(p.in, header[:])
	if err == io.EOF {
		return false
	}
	check(err)
	if size := binary.LittleEndian.Uint32(header[:]); size != uint32(len(into)) {
		panic("a message of another size")
	}
	_, err = io.ReadFull(p.in, into)
	check(err)
	return true
}

// mark puts a number at both ends, so that half a message is not taken for a whole one.
func mark(message []byte, number uint64) {
	binary.LittleEndian.PutUint64(message, number)
	binary.LittleEndian.PutUint64(message[len(message)-8:], number)
}

func hasMark(message []byte, number uint64) bool {
	return binary.LittleEndian.Uint64(message) == number &&
		binary.LittleEndian.Uint64(message[len(message)-8:]) == number
}

func child(arguments ...string) *exec.Cmd {
	command := exec.Command("/proc/self/exe", arguments...)
	command.Stderr = os.Stderr
	return command
}

// start starts a child with a pipe to it; end closes the pipe and sees the child end well.
func start(arguments ...string) (p pipe, end func()) {
	command := child(arguments...)
	out, err := command.StdinPipe()
	check(err)
	in, err := command.StdoutPipe()
	check(err)
	check(command.Start())
	return newPipe(in, out), func() {
		check(out.Close())
		check(command.Wait())
	}
}

func trip(size, count int) float64 {
	p, end := start("echo", strconv.Itoa(size))
	message, answer := make([]byte, size), make([]byte, size)
	var began time.Time
	for i := 0; i <= count; i++ {
		mark(message, uint64(i))
		p.send(message)
		if !p.receive(answer) || !bytes.Equal(message, answer) {
			panic("another message came back")
		}
		if i == 0 { // the child has started
			began = time.Now()
		}
	}
	took := time.Since(began)
	end()
	return took.Seconds() / float64(count)
}

func echo(size int) {
	parent := newPipe(os.Stdin, os.Stdout)
	message := make([]byte, size)
	for parent.receive(message) {
		parent.send(message)
	}
}

// flow ends when the child has said that it has seen everything.
func flow(size, count int) float64 {
	p, end := start("take", strconv.Itoa(size), strconv.Itoa(count))
	word := make([]byte, 8)
	if !p.receive(word) {
		panic("no child")
	}
	message := make([]byte, size)
	began := time.Now()
	for i := 0; i < count; i++ {
		mark(message, uint64(i))
		p.send(message)
	}
	if !p.receive(word) {
		panic("the child has not seen all messages")
	}
	took := time.Since(began)
	end()
	return took.Seconds() / float64(count)
}

func take(size, count int) {
	parent := newPipe(os.Stdin, os.Stdout)
	word := make([]byte, 8)
	parent.send(word)
	message := make([]byte, size)
	for i := 0; i < count; i++ {
		if !parent.receive(message) || !hasMark(message, uint64(i)) {
			panic("lost, out of order, or not what was sent")
		}
	}
	parent.send(word)
	if parent.receive(message) {
		panic("more messages than were sent")
	}
}

func repeat(count int, work func()) float64 {
	work()
	began := time.Now()
	for i := 0; i < count; i++ {
		work()
	}
	return time.Since(began).Seconds() / float64(count)
}

func startAndWait(megabytes, fds, count int) float64 {
	ballast := bytes.Repeat([]byte{'x'}, megabytes<<20)
	held := make([]*os.File, fds)
	for i := range held {
		file, err := os.Open("/dev/null")
		check(err)
		held[i] = file
	}
	seconds := repeat(count, func() { check(child("nothing").Run()) })
	if len(ballast) != megabytes<<20 { // keeps it
		panic("no ballast")
	}
	for _, file := range held {
		check(file.Close())
	}
	return seconds
}

func call(count int) float64 {
	return repeat(count, func() {
		answer, err := child("double", "21").Output()
		check(err)
		if number(strings.TrimSpace(string(answer))) != 42 {
			panic("a wrong answer")
		}
	})
}

func main() {
	var figures []int
	for _, text := range os.Args[2:] {
		figures = append(figures, number(text))
	}
	switch os.Args[1] {
	case "trip":
		fmt.Println(trip(figures[0], figures[1]))
	case "flow":
		fmt.Println(flow(figures[0], figures[1]))
	case "start":
		fmt.Println(startAndWait(figures[0], figures[1], figures[2]))
	case "call":
		fmt.Println(call(figures[0]))
	case "echo":
		echo(figures[0])
	case "take":
		take(figures[0], figures[1])
	case "double":
		fmt.Println(2 * figures[0])
	case "nothing":
	default:
		panic("what?")
	}
}
